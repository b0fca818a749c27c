// Gives jobs to a pool of workers, and each one again until it has been done.
'use strict';

const JOBS = 100;
const AT_ONCE = 16;
const open = new Map(); // id -> job
const left = Array.from({ length: JOBS }, (_, n) => ({ n, tries: 0 }));
const done = {};
let lastId = 0;

function give() {
  while (open.size < AT_ONCE && left.length > 0) {
    const job = left.shift();
    open.set(++lastId, job);
    process.send({ to: 'worker', id: lastId, ttl: 10000, msg: { square: job.n } });
  }
}

function again(job) {
  job.tries += 1;
  setTimeout(() => { left.push(job); give(); }, Math.min(1000, 10 * 2 ** job.tries));
}

process.on('message', (m) => {
  const job = open.get(m.re);
  if (job === undefined) return;
  open.delete(m.re);
  if (m.err) {
    again(job); // nobody there yet, or it died: {"from":"$","re":7,"err":"ECONNRESET","to":"worker:worker_2"}
    return;
  }
  if (m.msg !== job.n * job.n) throw new Error('a wrong answer');
  done[m.from] = (done[m.from] || 0) + 1;
  if (Object.values(done).reduce((a, b) => a + b, 0) === JOBS) {
    process.send({ done }); // no `to`: this one is for the supervisor
  }
  give();
});

give();
