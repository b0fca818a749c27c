// A worker in Node: a job every half second, and a clean end.
'use strict';

let job = 0;

const timer = setInterval(() => {
  job += 1;
  console.log(`job ${job} done by pid ${process.pid}`);
}, 500);

process.on('SIGTERM', () => {
  clearInterval(timer);
  console.log('goodbye');
});

console.log(`node ${process.version} at work for ${process.env.FLEET}`);
