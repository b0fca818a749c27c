// Gives jobs to a pool of workers, and each one again until it has been done.
'use strict';

const JOBS = 1200;
const TELL = 100; // how it goes, after so many
const AT_ONCE = 16;
const open = new Map(); // id -> job
const left = Array.from({ length: JOBS }, (_, n) => ({ n, tries: 0 }));
const by = {}; // worker -> how many it has done
let lastId = 0;
let done = 0;
let again = 0;

function give() {
  while (open.size < AT_ONCE && left.length > 0) {
    const job = left.shift();
    open.set(++lastId, job);
    process.send({ to: 'worker', id: lastId, ttl: 10000, msg: { square: job.n } });
  }
}

function giveAgain(job) {
  again += 1;
  job.tries += 1;
  setTimeout(() => { left.push(job); give(); }, Math.min(1000, 10 * 2 ** job.tries));
}

process.on('message', (m) => {
  const job = open.get(m.re);
  if (job === undefined) return;
  open.delete(m.re);
  if (m.err) {
    giveAgain(job); // nobody there yet, or it died: {"from":"$","re":7,"err":"ECONNRESET","to":"worker:worker_2"}
    return;
  }
  if (m.msg !== job.n * job.n) throw new Error('a wrong answer');
  by[m.from] = (by[m.from] || 0) + 1;
  done += 1;
  if (done % TELL === 0) {
    process.send({ done, of: JOBS, again, by }); // no `to`: this one is for the supervisor
  }
  give();
});

give();
