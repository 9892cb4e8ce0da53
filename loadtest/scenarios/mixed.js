// A shop's day: browse 10, search 3, cart 3, checkout 1.

import {browse, checkOut, fillCart, search} from '../lib/actions.js';
import {scenario} from '../lib/run.js';

// Spread out, so that no kind comes in a burst.
const TURNS = 'bsbcbbsbcbbsbcbbk';
const ACTIONS = {b: 'browse', s: 'search', c: 'cart', k: 'checkout'};

const run = scenario('mixed', {
  actions: {browse, search, cart: fillCart, checkout: checkOut},
  actionOf: (number) => ACTIONS[TURNS[number % TURNS.length]],
});

export const {options, setup, teardown, handleSummary} = run;
export default run.iterate;
