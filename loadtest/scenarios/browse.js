// Visitors who look around: products, lists, categories, what is left.

import {browse} from '../lib/actions.js';
import {scenario} from '../lib/run.js';

const run = scenario('browse', {actions: {browse}, actionOf: () => 'browse', customers: false});

export const {options, setup, teardown, handleSummary} = run;
export default run.iterate;
