// A backend of npm's statsd that appends what is flushed to `flushFile` of the configuration, one JSON object a line.
'use strict';

const fs = require('fs');

exports.init = (startupTime, config, events) => {
  events.on('flush', (timestamp, metrics) => {
    const { counters, gauges, timers, timer_data } = metrics;
    fs.appendFileSync(config.flushFile, JSON.stringify({ counters, gauges, timers, timer_data }) + '\n');
  });
  return true;
};
