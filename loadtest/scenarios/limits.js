// An address that asks for several times what it may, beside one that asks for half of it.
// The gateway must run with limits.env.

import {check} from 'k6';
import exec from 'k6/execution';
import {Counter} from 'k6/metrics';
import {send} from '../lib/client.js';
import {failures, output, row} from '../lib/summary.js';

const SECONDS = 20;
const TIMES = 4;
// A refusal's Retry-After, and a second for a gateway that is slow to forget.
const RETURN_AFTER_SECONDS = SECONDS + 3;
const GREEDY = '198.51.100.1';
const MODEST = '198.51.100.2';

const settings = Object.fromEntries(open('../limits.env').trim().split('\n').map((line) => line.split('=')));

// What each limit allows, and the cheapest request that it counts: who is nobody is counted all the same.
const LIMITS = {
  browse: limit('browse', 'PER_SECOND', 1, 200, (headers) => ['GET', '/api/categories', {headers}]),
  use: limit('use', 'PER_SECOND', 1, 200, (headers) => ['GET', '/api/cart', {headers}]),
  checkout: limit('checkout', 'PER_SECOND', 1, 401, (headers) => ['POST', '/api/orders', {headers, body: {}}]),
  login: limit('login', 'PER_SECOND', 1, 401, (headers) => [
    'POST', '/api/auth/refresh', {headers, body: {refreshToken: 'none'}},
  ]),
  account: limit('account_logins', 'PER_MINUTE', 60, 401, (headers, email) => [
    'POST', '/api/auth/login', {headers, body: {email, password: 'a guess at a password'}},
  ]),
};

const admitted = new Counter('admitted');
const refused = new Counter('refused');
const modestRefused = new Counter('modest_refused');
const returnRefused = new Counter('return_refused');

function limit(name, per, seconds, status, request) {
  return {allowed: Number(settings[`GATEWAY_${name.toUpperCase()}_${per}`]), seconds, status, request};
}

const arrivals = (run, rate, seconds, env) => ({
  executor: 'constant-arrival-rate',
  exec: run,
  rate: Math.max(1, Math.round(rate * 60)),
  timeUnit: '1m',
  duration: `${SECONDS}s`,
  preAllocatedVUs: 10,
  maxVUs: 40,
  env,
});

const scenarios = {
  return: {executor: 'per-vu-iterations', exec: 'comeBack', startTime: `${RETURN_AFTER_SECONDS}s`},
};
const thresholds = {
  checks: ['rate==1'],
  dropped_iterations: ['count<1'],
  modest_refused: ['count<1'],
  return_refused: ['count<1'],
};
for (const [name, {allowed, seconds}] of Object.entries(LIMITS)) {
  // A burst of what a period allows, and then its pace. Twice that, where the gateway could for a while
  // not ask Redis and counted for itself.
  const most = allowed + (allowed * SECONDS) / seconds;
  scenarios[name] = arrivals('ask', Math.max(1, (TIMES * allowed) / seconds), SECONDS, {LIMIT: name});
  thresholds[`admitted{limit:${name}}`] = [`count>=${Math.floor(0.8 * most)}`, `count<=${Math.ceil(2 * most)}`];
  thresholds[`refused{limit:${name}}`] = ['count>0'];
  if (name !== 'account') {
    scenarios[`modest_${name}`] = arrivals('askModestly', allowed / 2, SECONDS, {LIMIT: name});
  }
}

export const options = {scenarios, thresholds};

export function setup() {
  for (const name of ['browse', 'use', 'checkout', 'login']) {
    const {allowed} = LIMITS[name];
    const response = sendFrom('198.51.100.3', name);
    const policy = response.headers['Ratelimit-Policy'];
    if (policy !== `"${name}";q=${allowed};w=1`) {
      throw new Error(`the gateway does not run with limits.env: it says ${policy || response.error}, not ${allowed} in 1 s`);
    }
  }
  return `nobody-${crypto.randomUUID()}@example.com`;
}

function sendFrom(address, name, email) {
  const [method, path, options] = LIMITS[name].request({'X-Forwarded-For': address}, email);
  return send(name, method, path, {...options, expected: [200, 401, 429]});
}

/** More than is allowed; logins to the account come from everywhere. */
export function ask(email) {
  const name = __ENV.LIMIT;
  const address = name === 'account' ? `203.0.113.${1 + (exec.scenario.iterationInTest % 250)}` : GREEDY;
  const response = sendFrom(address, name, email);
  (response.status === 429 ? refused : admitted).add(1, {limit: name});
  judge(name, response);
}

export function askModestly() {
  const name = __ENV.LIMIT;
  const response = sendFrom(MODEST, name);
  if (response.status === 429) modestRefused.add(1);
  judge(name, response);
}

/** Whoever waited as long as told is let in again. */
export function comeBack() {
  for (const name of ['browse', 'use', 'checkout', 'login']) {
    const response = sendFrom(GREEDY, name);
    if (response.status === 429) returnRefused.add(1);
    judge(name, response);
  }
}

/** An answer tells the limit and what is left; a refusal also when to come back. */
function judge(name, {status, headers, body}) {
  const {allowed, seconds, status: usual} = LIMITS[name];
  const [, left, wait] = /;r=(\d+);t=(\d+)$/.exec(headers.Ratelimit) || [];
  if (status !== 429) {
    check(status, {
      'what is admitted is answered as ever': () => status === usual,
      'an answer tells what is left': () => name === 'account' || left < allowed,
    });
    return;
  }
  check(status, {
    'a refusal tells the limit': () => headers['Ratelimit-Policy'] === `"${name}";q=${allowed};w=${seconds}`,
    'a refusal says that nothing is left': () => headers.Ratelimit.startsWith(`"${name}";r=0;`),
    'a refusal says when to come back': () => headers['Retry-After'] === wait && wait >= 1 && wait <= seconds,
    'a refusal is a problem document': () =>
      headers['Content-Type'] === 'application/problem+json' && JSON.parse(body).code === 'rate-limited',
  });
}

export function handleSummary({metrics, root_group: {checks}}) {
  const count = (name) => (metrics[name] ? metrics[name].values.count : 0);
  const limits = Object.entries(LIMITS).map(([name, {allowed, seconds}]) => [
    name,
    {allowed, inSeconds: seconds, admitted: count(`admitted{limit:${name}}`), refused: count(`refused{limit:${name}}`)},
  ]);
  const failed = failures(metrics, checks);
  const summary = {scenario: 'limits', seconds: SECONDS, passed: failed.length === 0, failed, limits: Object.fromEntries(limits)};
  const table = limits.map(([name, {allowed, inSeconds, admitted, refused}]) => row(name, `${allowed}/${inSeconds} s`, admitted, refused));
  return output(summary, [row('limit', 'allowed', 'admitted', 'refused'), ...table]);
}
