// What a run is: its shape, the users that it stands for, and when each iteration should start.

const SHAPES = JSON.parse(open('../shapes.json'));
const THINK_SECONDS = [1, 4];
const SHORT_SECONDS = 60;
const SHORT_SCALE = 0.002;
const SCALE_MAX = 10;
const USERS_MIN = 10;
// Enough virtual users while a request takes less than 625 ms on average; a small run has more, since one
// that waits is a larger share of them.
const USERS_PER_VU = 4;
const VUS_MIN = 30;

/** The run that SHAPE, SCALE and SHORT ask for. */
export function runOf(scenario) {
  const isShort = chosen('SHORT', {0: false, 1: true}, '0');
  const shape = chosen('SHAPE', SHAPES, 'normal');
  const scale = Number(setting('SCALE', isShort ? SHORT_SCALE : 1));
  if (!(scale > 0 && scale <= SCALE_MAX)) {
    throw new Error(`SCALE: ${__ENV.SCALE} is not a number above 0 and up to ${SCALE_MAX}`);
  }
  const users = Math.max(USERS_MIN, Math.round(shape.users * scale));
  const minutes = shape.stages.reduce((sum, [length]) => sum + length, 0);
  return {
    scenario,
    shape: setting('SHAPE', 'normal'),
    isShort,
    scale,
    users,
    vus: Math.max(Math.min(users, VUS_MIN), Math.ceil(users / USERS_PER_VU)),
    stages: shape.stages.map(([length, share]) => ({
      seconds: Math.max(1, Math.round(isShort ? (length * SHORT_SECONDS) / minutes : length * 60)),
      share,
    })),
  };
}

function setting(name, otherwise) {
  return __ENV[name] || String(otherwise);
}

function chosen(name, allowed, otherwise) {
  const given = setting(name, otherwise);
  if (!Object.hasOwn(allowed, given)) {
    throw new Error(`${name}: ${given} is none of ${Object.keys(allowed).join(', ')}`);
  }
  return allowed[given];
}

/**
 * When the iterations start, each standing for so many requests of a user. A user sends one in each
 * think time, 2.5 s on average, however long the answers take.
 */
export function scheduleOf(run, requestsPerIteration) {
  const perMinute = (run.users * 60) / ((THINK_SECONDS[0] + THINK_SECONDS[1]) / 2) / requestsPerIteration;
  let from = 0;
  return run.stages.map(({seconds, share}) => {
    const to = Math.max(1, Math.round(perMinute * share));
    const stage = {seconds, from, to, isFull: share === 1 && from === to};
    from = to;
    return stage;
  });
}

/** When the iteration of this number should start, in milliseconds, and whether at full load. */
export function intended(schedule, number) {
  let begin = 0;
  let left = number;
  for (const {seconds, from, to, isFull} of schedule) {
    const count = ((from + to) / 120) * seconds;
    if (left <= count) {
      const [rate, growth] = [from / 60, (to - from) / 60 / seconds];
      const offset = growth === 0 ? left / rate : (Math.sqrt(rate * rate + 2 * growth * left) - rate) / growth;
      return {at: (begin + offset) * 1000, isFull};
    }
    begin += seconds;
    left -= count;
  }
  return {at: begin * 1000, isFull: false};
}
