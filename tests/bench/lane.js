// lane.js - what lane.c is, in Node.
//   node lane.js end NAME PEER MODE SIZE SECONDS OUT      an end: process.send and 'message'; see lane.c
//   node lane.js parent COMMAND... -- COMMAND...          a parent that sends on to one child what the other sends
'use strict';

const fs = require('fs');
const { spawn } = require('child_process');

const IN_FLIGHT = 256; // messages of an end that are not written yet

function parent(words) {
  const cut = words.indexOf('--');
  const start = (w) => spawn(w[0], w.slice(1), { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  const a = start(words.slice(0, cut));
  const b = start(words.slice(cut + 1));
  const carry = (from, to) => from.on('message', (m) => { if (to.connected) to.send(m, () => {}); });
  carry(a, b);
  carry(b, a);
  let left = 2;
  for (const child of [a, b]) child.on('exit', () => { if (--left === 0) process.exit(); });
}

// Shaped as lane.c composes it.
function compose(size, peer) {
  const msg = {};
  if (size >= 512) {
    msg.items = [];
    for (let i = 0; ; i++) {
      msg.items.push({ id: i, name: `worker-${i}`, state: 'running', pid: 4000 + i, up: true, load: 0.25 });
      if (i % 16 === 0 && JSON.stringify(msg).length + 200 > size) break;
      if (size < 4096 && JSON.stringify(msg).length + 200 > size) break;
    }
  }
  const whole = { to: peer, msg };
  msg.p = '';
  msg.p = 'x'.repeat(Math.max(0, size - 1 - JSON.stringify(whole).length));
  return whole;
}

function end(name, peer, mode, size, seconds, out) {
  const now = () => process.hrtime.bigint();
  const note = (text) => fs.appendFileSync(out, `${text}\n`);
  const said = (m) => m.msg;
  const message = compose(Number(size), peer);
  const leave = () => process.send({ to: peer, msg: 'end' }, () => process.disconnect());

  if (name !== 'a') {
    let n = 0;
    process.on('message', (m) => {
      if (said(m) === 'end') {
        note(`b ${now()} ${n}`);
        process.disconnect();
      } else if (said(m) === 'hello') {
        process.send({ to: peer, msg: 'ready' });
      } else {
        n++;
        if (mode === 'rtt') process.send(message);
      }
    });
    return;
  }

  const hello = setInterval(() => process.send({ to: peer, msg: 'hello', id: 1 }), 20);
  let begin = 0n;
  let until = 0n;
  let n = 0;
  let flying = 0;
  let over = false;
  const flood = () => {
    while (!over && flying < IN_FLIGHT) {
      if ((n & 15) === 0 && now() >= until) { over = true; break; }
      n++;
      flying++;
      process.send(message, () => { flying--; flood(); });
    }
    if (over && flying === 0) { flying = -1; note(`a ${begin} ${n}`); leave(); }
  };
  const samples = [];
  let at = 0n;
  process.on('message', (m) => {
    if (begin === 0n) {
      if (said(m) !== 'ready') return;
      clearInterval(hello);
      begin = now();
      until = begin + BigInt(Math.round(seconds * 1e9));
      if (mode === 'thr') { flood(); return; }
    } else if (mode === 'rtt' && typeof said(m) === 'object') {
      samples.push(Number(now() - at) / 1e3);
      if (now() >= until) {
        samples.sort((x, y) => x - y);
        note(`rtt ${samples.length} ${samples[samples.length >> 1]} ${samples[Math.floor(samples.length * 0.99)]}`);
        leave();
        return;
      }
    } else {
      return;
    }
    at = now();
    process.send(message);
  });
}

const [what, ...words] = process.argv.slice(2);
if (what === 'parent') parent(words);
else end(...words);
