// What a run needs in the shop before it starts, and what it left behind.

import {sleep} from 'k6';
import http from 'k6/http';
import {Counter} from 'k6/metrics';
import {Session, URL, need, send} from './client.js';

const GOODS_MAX = 100;
const NEW_GOODS = 20;
// The run's own warehouse, so that no other's stock is touched.
const WAREHOUSE = 'load';
const ON_HAND = 500_000;
const AT_ONCE = 4;
const TRIES_MAX = 5;
// Availability may be answered from a copy that is so old.
const SETTLED_SECONDS = 3;

const staff = __ENV.STAFF ? JSON.parse(open(__ENV.STAFF)) : null;
const unitsGone = new Counter('units_gone');

export const emailOf = (shop, number) => `load-${shop.id}-${number}@example.com`;

/** Looks at the catalogue; where customers buy, stocks it and registers `accounts` of them. */
export function prepare(perSecond, accounts) {
  const shop = {id: crypto.randomUUID().slice(0, 8), goods: catalogue()};
  requireRoom('browse', '/api/categories', perSecond);
  if (accounts > 0) {
    if (staff === null) {
      throw new Error('STAFF: the file with the staff account is needed, to raise the stock');
    }
    requireRoom('use', '/api/cart', perSecond);
    restock(shop.goods);
    shop.password = crypto.randomUUID();
    register(shop, accounts);
    shop.available = available(shop.goods);
  }
  return shop;
}

/** Counts what the run took from the stock. */
export function reckon(shop) {
  if (shop.available !== undefined) {
    sleep(SETTLED_SECONDS);
    unitsGone.add(shop.available - available(shop.goods));
  }
}

/** The newest products, with one variant of each; where staff finds none, new ones. */
function catalogue() {
  let items = newest();
  if (items.length === 0) {
    if (staff === null) {
      throw new Error(`URL: the shop at ${URL} sells nothing; a load needs a catalogue, or STAFF to make one`);
    }
    fill();
    items = newest();
  }
  return items.map(({id, category, name, variants}) => {
    // The longest: a short one may be a stop word.
    const [word] = name.toLowerCase().split(' ').sort((a, b) => b.length - a.length);
    return {id, category, word, sku: variants[0].sku};
  });
}

const newest = () => need('listProducts', 'GET', `/api/products?limit=${GOODS_MAX}`).items;

function fill() {
  const token = staffToken();
  const skus = Array.from({length: NEW_GOODS}, (_, i) => `LOAD-${i + 1}`);
  // An earlier run may have come so far.
  const expected = [201, 409];
  need('createCategory', 'POST', '/api/categories', {body: {slug: 'load', name: 'Load'}, token, expected});
  for (const [i, sku] of skus.entries()) {
    const price = {minorUnits: 1000 + i, currency: 'USD'};
    const body = {
      slug: sku.toLowerCase(),
      name: `Article ${i + 1}`,
      description: 'Made by a load, not for sale.',
      category: 'load',
      attributes: {},
      variants: [{sku, options: {}, price}],
    };
    need('createProduct', 'POST', '/api/products', {body, token, expected});
  }
  restock(skus.map((sku) => ({sku})));
  sleep(SETTLED_SECONDS);
}

/** All requests come from one address, which must be allowed them. */
function requireRoom(limit, path, perSecond) {
  const policy = send('getPolicy', 'GET', path, {expected: [200, 401]}).headers['Ratelimit-Policy'];
  const [, allowed, seconds] = /q=(\d+);w=(\d+)/.exec(policy) || [];
  if (!(allowed / seconds >= perSecond)) {
    throw new Error(
      `one address may send ${allowed} "${limit}" requests in ${seconds} s, and this load sends ${perSecond} a second: ` +
        `raise GATEWAY_${limit.toUpperCase()}_PER_SECOND, or lower SCALE`,
    );
  }
}

function restock(goods) {
  const token = staffToken();
  const body = {onHand: ON_HAND, policy: 'reserve-on-order'};
  for (const {sku} of goods) {
    const path = `/api/inventory/${sku}/warehouses/${WAREHOUSE}`;
    need('putStock', 'PUT', path, {body, token});
  }
}

function staffToken() {
  const token = new Session(staff.email, staff.password).token();
  if (!token) throw new Error('STAFF: the staff account cannot log in');
  return token;
}

function register(shop, accounts) {
  let missing = Array.from({length: accounts}, (_, i) => i + 1);
  for (let tries = 1; missing.length > 0; tries += 1) {
    const answers = [];
    for (let first = 0; first < missing.length; first += AT_ONCE) {
      answers.push(...http.batch(missing.slice(first, first + AT_ONCE).map((number) => registration(shop, number))));
    }
    // Taken is what an earlier try did whose answer was lost.
    const failed = answers.map(({status}) => status !== 201 && !(status === 409 && tries > 1));
    if (tries === TRIES_MAX && failed.includes(true)) {
      const {status, error, body} = answers[failed.indexOf(true)];
      throw new Error(`users cannot be registered: ${status} ${error || body}`);
    }
    missing = missing.filter((_, index) => failed[index]);
  }
}

function registration(shop, number) {
  const body = {email: emailOf(shop, number), password: shop.password, name: `Load ${number}`};
  return ['POST', `${URL}/api/users`, JSON.stringify(body), {headers: {'Content-Type': 'application/json'}, tags: {name: 'registerUser'}}];
}

/** Units in the shop, as staff sees them. */
function available(goods) {
  const token = staffToken();
  const levels = goods.map(({sku}) => need('getAvailability', 'GET', `/api/inventory/${sku}`, {token}));
  return levels.reduce((sum, level) => sum + level.available, 0);
}
