// What every scenario shares: its options, the frame of an iteration, and its summary.

import exec from 'k6/execution';
import {Trend} from 'k6/metrics';
import {intended, runOf, scheduleOf} from './plan.js';
import {prepare, reckon} from './shop.js';
import {OPERATIONS, summarise} from './summary.js';

const READ_MS = 500;
const ORDER_MS = 2000;
const ERRORS_MAX = 0.001;

const fromIntendedStart = new Trend('from_intended_start', true);
const startDelay = new Trend('start_delay', true);

/**
 * A scenario of what k6 calls for it. `actionOf` names the action of an iteration, `actions` are those
 * there may be; only a scenario with `customers` needs accounts and stock.
 */
export function scenario(name, {actions, actionOf, requestsPerIteration = 1, customers = true}) {
  const run = runOf(name);
  const schedule = scheduleOf(run, requestsPerIteration);
  return {
    options: optionsOf(run, schedule, Object.keys(actions)),
    setup: () => prepare(peak(schedule) * requestsPerIteration, customers ? run.vus : 0),
    teardown: reckon,
    handleSummary: (data) => summarise(run, schedule, Object.keys(actions), data),
    iterate(shop) {
      const number = exec.scenario.iterationInTest;
      const {at, isFull} = intended(schedule, number + 1);
      const due = exec.scenario.startTime + at;
      const action = actionOf(number);
      exec.vu.metrics.tags.load = isFull ? 'full' : 'ramp';
      startDelay.add(Date.now() - due);
      const afterwards = actions[action](shop, number);
      fromIntendedStart.add(Date.now() - due, {action});
      if (afterwards) afterwards();
    },
  };
}

const peak = (schedule) => Math.max(...schedule.map(({to}) => to)) / 60;

function optionsOf(run, schedule, actions) {
  const mine = `scenario:${run.scenario}`;
  const thresholds = {
    [`http_req_duration{${mine}}`]: [`p(95)<${READ_MS}`],
    [`http_req_failed{${mine}}`]: [`rate<${ERRORS_MAX}`],
    [`checks{${mine}}`]: [`rate>${1 - ERRORS_MAX}`],
    dropped_iterations: ['count<1'],
    orders_unfinished: ['count<1'],
    // What the summary shows, without a limit of its own.
    [`http_req_duration{${mine},load:full}`]: [],
    [`http_req_failed{${mine},load:full}`]: [],
  };
  for (const action of actions) {
    const limit = action === 'checkout' ? ORDER_MS : READ_MS;
    thresholds[`from_intended_start{action:${action}}`] = [`p(95)<${limit}`];
  }
  for (const operation of OPERATIONS) {
    thresholds[`http_req_duration{${mine},name:${operation}}`] = [];
    thresholds[`http_req_failed{${mine},name:${operation}}`] = [];
  }
  return {
    scenarios: {
      [run.scenario]: {
        executor: 'ramping-arrival-rate',
        exec: 'default',
        timeUnit: '1m',
        startRate: 0,
        stages: schedule.map((stage) => ({duration: `${stage.seconds}s`, target: stage.to})),
        preAllocatedVUs: run.vus,
        maxVUs: run.vus,
        gracefulStop: '45s',
      },
    },
    thresholds,
    summaryTrendStats: ['count', 'avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max'],
    setupTimeout: '60m',
    teardownTimeout: '2m',
  };
}
