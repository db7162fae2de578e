// Starts npm's statsd with a flush on demand: SIGUSR2 makes it flush now. Its own timer is left alone, but is set to an hour.
// Usage: node start.js CONFIG, with the directory of the package in STATSD_DIRECTORY.
'use strict';

const setTimer = global.setTimeout;
let flush = null;
global.setTimeout = (callback, ...rest) => {
  if (callback && callback.name === 'flushMetrics') flush = callback;
  return setTimer(callback, ...rest);
};
process.on('SIGUSR2', () => { if (flush) flush(); });

require(process.env.STATSD_DIRECTORY + '/stats.js');
