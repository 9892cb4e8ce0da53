// What is told of a run: a table for whoever waits for it, and a file for the planner.

/** What customers call, by its operation in openapi.json. */
export const OPERATIONS = [
  'listCategories', 'listProducts', 'getProduct', 'getAvailability', 'searchProducts', 'getCart',
  'addCartItem', 'changeCartItem', 'placeOrder', 'getOrder', 'logIn', 'refreshSession',
];

const seconds = (stages) => stages.reduce((sum, stage) => sum + stage.seconds, 0);

const rounded = (value, digits = 1) => (value === undefined ? null : Number(value.toFixed(digits)));

function latency({values}) {
  return {p50Ms: rounded(values.med), p95Ms: rounded(values['p(95)']), p99Ms: rounded(values['p(99)']), maxMs: rounded(values.max)};
}

export function summarise(run, schedule, actions, {metrics, root_group: {checks}}) {
  const mine = `scenario:${run.scenario}`;
  const traffic = (tags, length) => {
    const duration = metrics[`http_req_duration{${tags}}`];
    const failed = metrics[`http_req_failed{${tags}}`];
    const count = duration ? duration.values.count : 0;
    return count === 0
      ? {requests: 0}
      : {requests: count, requestsPerSecond: rounded(count / length, 2), errorRatio: rounded(failed.values.rate, 5), ...latency(duration)};
  };
  const total = (name) => (metrics[name] ? metrics[name].values.count : 0);
  const {stages, ...which} = run;
  const whole = seconds(schedule);
  const operations = OPERATIONS.map((name) => [name, traffic(`${mine},name:${name}`, whole)]);
  const summary = {
    ...which,
    seconds: whole,
    whole: traffic(mine, whole),
    atFullLoad: {
      seconds: seconds(schedule.filter(({isFull}) => isFull)),
      ...traffic(`${mine},load:full`, seconds(schedule.filter(({isFull}) => isFull))),
    },
    startDelay: metrics.start_delay ? latency(metrics.start_delay) : null,
    fromIntendedStart: Object.fromEntries(
      actions.map((action) => [action, latency(metrics[`from_intended_start{action:${action}}`])]),
    ),
    operations: Object.fromEntries(operations.filter(([, {requests}]) => requests > 0)),
    droppedIterations: total('dropped_iterations'),
    orders: {
      asked: total('orders_asked'),
      confirmed: total('orders_confirmed'),
      refused: total('orders_refused'),
      unfinished: total('orders_unfinished'),
      unitsSold: total('units_sold'),
      unitsGone: total('units_gone'),
    },
  };
  const failed = [...failures(metrics, checks), ...contradictions(summary)];
  return output({...summary, passed: failed.length === 0, failed}, lines(summary));
}

/** Where k6 shall write what: SUMMARY names the file. */
export function output(summary, text) {
  const files = {stdout: ['', ...text, ...summary.failed.map((failure) => `not kept: ${failure}`), ''].join('\n')};
  if (__ENV.SUMMARY) files[__ENV.SUMMARY] = `${JSON.stringify(summary, null, 2)}\n`;
  return files;
}

/** The thresholds that were not kept, and what was seen to be untrue. */
export function failures(metrics, checks) {
  const crossed = Object.entries(metrics).flatMap(([name, {thresholds = {}}]) =>
    Object.entries(thresholds)
      .filter(([, {ok}]) => !ok)
      .map(([limit]) => `${name}: ${limit}`),
  );
  return crossed.concat(checks.filter(({fails}) => fails > 0).map(({name, fails}) => `${fails} times not: ${name}`));
}

/** Every order has an end, and what was sold is gone; others may have bought meanwhile. */
function contradictions({whole, orders: {asked, confirmed, refused, unfinished, unitsSold, unitsGone}}) {
  return [
    ...(whole.requests > 0 ? [] : ['nothing was sent']),
    ...(confirmed + refused + unfinished === asked ? [] : [`orders: ${asked} asked, but not as many answered`]),
    ...(unitsGone >= unitsSold ? [] : [`stock: ${unitsSold} units sold, but only ${unitsGone} gone`]),
  ];
}

/** A line of columns: the first to the left, the others to the right. */
export const row = (first, ...others) => first.padEnd(18) + others.map((value) => `${value ?? '-'}`.padStart(9)).join('');

function lines(summary) {
  const {scenario, shape, users, isShort, operations, whole} = summary;
  const {asked, confirmed, refused, unfinished, unitsSold, unitsGone} = summary.orders;
  const fromStart = ([action, {p50Ms, p95Ms, p99Ms}]) => row(action, '', '', p50Ms, p95Ms, p99Ms);
  const traffic = ([name, {requests, requestsPerSecond, p50Ms, p95Ms, p99Ms, errorRatio}]) =>
    row(name, requests, requestsPerSecond, p50Ms, p95Ms, p99Ms, errorRatio);
  const orders = [
    `orders: ${asked} asked, ${confirmed} confirmed, ${refused} refused, ${unfinished} unfinished`,
    `units: ${unitsSold} sold, ${unitsGone} gone from stock`,
  ];
  return [
    `${scenario} ${shape}${isShort ? ' (short)' : ''}: ${users} users, ${summary.seconds} s`,
    row('operation', 'requests', 'per s', 'p50 ms', 'p95 ms', 'p99 ms', 'errors'),
    ...Object.entries(operations).map(traffic),
    traffic(['all', whole]),
    '',
    'from the intended start',
    ...Object.entries(summary.fromIntendedStart).map(fromStart),
    '',
    ...(asked > 0 ? orders : []),
  ];
}
