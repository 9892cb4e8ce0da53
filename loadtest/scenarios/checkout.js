// Customers who come to buy: a look, into the cart, order and pay.

import {buy} from '../lib/actions.js';
import {scenario} from '../lib/run.js';

const run = scenario('checkout', {actions: {checkout: buy}, actionOf: () => 'checkout', requestsPerIteration: 3});

export const {options, setup, teardown, handleSummary} = run;
export default run.iterate;
