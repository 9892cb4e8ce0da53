// What customers do. Each function is one iteration: it starts when it is due, whatever became of the
// others.

import {check, sleep} from 'k6';
import exec from 'k6/execution';
import {Counter} from 'k6/metrics';
import {Session, send} from './client.js';
import {emailOf} from './shop.js';

const DECLINED_EVERY = 10;
const FOLLOW_SECONDS_MAX = 30;
const IN_PROGRESS = 'key-in-progress';
const FINAL = ['confirmed', 'fulfilled', 'cancelled', 'rejected'];
const ADDRESS = {name: 'A Customer', line1: '1 Example Street', city: 'Springfield', postalCode: '12345', country: 'US'};

const ordersAsked = new Counter('orders_asked');
const ordersConfirmed = new Counter('orders_confirmed');
const ordersRefused = new Counter('orders_refused');
const ordersUnfinished = new Counter('orders_unfinished');
const unitsSold = new Counter('units_sold');

// This virtual user's own.
let session;
let cart = [];

function signedIn(shop) {
  session = session || new Session(emailOf(shop, exec.vu.idInTest), shop.password);
  return session.token();
}

/** A few products are looked at much more often than the others. */
const popular = (goods) => goods[Math.floor(goods.length * Math.random() ** 3)];
const any = (goods) => goods[Math.floor(goods.length * Math.random())];

/** Of ten: five products, three lists, the categories, and what is left of something. */
export function browse({goods}, number) {
  const {id, category, sku} = popular(goods);
  const kind = number % 10;
  if (kind < 5) {
    const response = send('getProduct', 'GET', `/api/products/${id}`);
    check(response, {'the product is the one asked for': (r) => r.status === 200 && r.json('id') === id});
  } else if (kind < 8) {
    const response = send('listProducts', 'GET', `/api/products?category=${category}&limit=20`);
    check(response, {'the category has products': (r) => r.status === 200 && r.json('items').length > 0});
  } else if (kind < 9) {
    const response = send('listCategories', 'GET', '/api/categories');
    check(response, {'there are categories': (r) => r.status === 200 && r.json('items').length > 0});
  } else {
    const response = send('getAvailability', 'GET', `/api/inventory/${sku}`);
    check(response, {'the stock is known': (r) => r.status === 200 && r.json('available') >= 0});
  }
}

export function search({goods}) {
  const {word} = popular(goods);
  const response = send('searchProducts', 'GET', `/api/products/search?q=${word}&limit=20`);
  check(response, {'the search finds something': (r) => r.status === 200 && r.json('items').length > 0});
}

/** Something goes in, is counted again, and is looked at. */
export function fillCart(shop, number) {
  const token = signedIn(shop);
  if (!token) return;
  const kind = cart.length === 0 ? 0 : number % 3;
  if (kind === 0) {
    addToCart(shop, token);
  } else if (kind === 1) {
    const path = `/api/cart/items/${cart[0]}`;
    const response = send('changeCartItem', 'PATCH', path, {token, body: {quantity: 2}});
    check(response, {'the cart has the new quantity': (r) => quantityOf(r, cart[0]) === 2});
  } else {
    const response = send('getCart', 'GET', '/api/cart', {token});
    check(response, {'the cart has what was put in': (r) => cart.every((sku) => quantityOf(r, sku) > 0)});
  }
}

function addToCart({goods}, token) {
  const {sku} = any(goods);
  const response = send('addCartItem', 'POST', '/api/cart/items', {token, body: {sku, quantity: 1}});
  if (check(response, {'the cart has the item': (r) => quantityOf(r, sku) > 0}) && !cart.includes(sku)) {
    cart.push(sku);
  }
}

function quantityOf(response, sku) {
  const line = response.status === 200 ? response.json('items').find((item) => item.sku === sku) : undefined;
  return line ? line.quantity : 0;
}

/** A purchase by somebody who comes for that: looks, takes, pays. */
export function buy(shop, number) {
  send('getProduct', 'GET', `/api/products/${any(shop.goods).id}`);
  return checkOut(shop, number);
}

/** Takes one thing more, orders the cart and pays; now and then with a card that is declined. */
export function checkOut(shop, number) {
  const token = signedIn(shop);
  if (!token) return undefined;
  addToCart(shop, token);
  const isDeclined = number % DECLINED_EVERY === DECLINED_EVERY - 1;
  const place = () =>
    send('placeOrder', 'POST', '/api/orders', {
      token,
      headers: {'Idempotency-Key': `${shop.id}-${number}`},
      body: {shippingAddress: ADDRESS, paymentMethod: {token: isDeclined ? 'tok_declined' : 'tok_ok'}},
      expected: [201, 202, 402, 409],
    });
  ordersAsked.add(1);
  cart = [];
  const response = place();
  check(response, {
    'an order is taken, or refused with its card': ({status}) => status === (isDeclined ? 402 : 201) || status === 202,
  });
  return () => settle(response, token, place);
}

/** Follows an order until nothing more will happen to it; where the answer was lost, asks again. */
function settle(placed, token, place) {
  let order;
  let response = placed;
  for (let waited = 0; waited < FOLLOW_SECONDS_MAX; waited += 1) {
    if (response.status === 402 || (response.status === 409 && response.json('code') !== IN_PROGRESS)) {
      ordersRefused.add(1);
      return;
    }
    order = response.status < 300 && response.status > 0 ? response.json() : order;
    if (order && FINAL.includes(order.status)) {
      count(order);
      return;
    }
    sleep(1);
    response = order ? send('getOrder', 'GET', `/api/orders/${order.id}`, {token}) : place();
  }
  ordersUnfinished.add(1);
}

function count({status, items}) {
  if (status === 'confirmed' || status === 'fulfilled') {
    ordersConfirmed.add(1);
    unitsSold.add(items.reduce((sum, {quantity}) => sum + quantity, 0));
  } else {
    ordersRefused.add(1);
  }
}
