// worker.js DIRECTORY NAME PEERS SENDERS - a worker of tests/fault that talks to others, in Node; see fault-worker.c.
'use strict';
const fs = require('fs'), net = require('net'), path = require('path');
const [directory, name, list, senders] = process.argv.slice(2);
const peers = list.split(','), run = process.hrtime.bigint(), waiting = new Set(), heard = new Set();
let next = 1, answers = 0, ends = 0, book = '', ending = false, unwritten = 0, told = false;

const trace = text => fs.appendFileSync(path.join(directory, 'trace'), text + '\n');
const note = text => { book += text + '\n'; if (book.length > 1 << 16) keep(); };
const keep = () => { fs.appendFileSync(path.join(directory, 'book.' + name), book); book = ''; };
const length = n => n < 0 ? 0 : n % 200 == 0 ? 90000 : n % 100 == 50 ? 40000 : n * 7919 % 1500;
const isPlain = n => n % 10 == 0 && n % 300 != 150 && n % 400 != 0;
const pick = n => Math.floor(Math.random() * n);
const server = net.createServer();

// With a descriptor Node itself waits until it is acknowledged, and whatever is sent later waits behind it.
function write(message, handle) {
    unwritten++;
    process.send(message, handle, {keepOpen: true}, error => {
        if (error) throw error;
        unwritten--;
        finish();
    });
}

function say(to, what) {
    const n = next++, message = {to, msg: [what || n, 'x'.repeat(length(what || n))]};
    const plain = isPlain(n) && !what && heard.has(to);
    const handle = what === undefined && n % 40 == 3 && to.startsWith('node') ? server : undefined;
    if (!plain) message.id = n;
    if (n % 4 != 0 && !plain && what === undefined) message.ack = true;
    if (handle) message.msg.push('handle');
    note(`${what ? 'e' : 's'} ${to} ${n}`);
    if (what) waiting.add(n);
    write(message, handle);
}

function burst() {
    if (!fs.existsSync(path.join(directory, 'gate'))) {
        ending = true;
        peers.forEach(p => say(p, -1));
        return;
    }
    for (let k = pick(8); unwritten < 200 && k >= 0; k--)
        say(peers[pick(peers.length)]);
    setTimeout(burst, 5 + pick(40));
}

function finish() {
    if (!ending || told || waiting.size > 0 || ends < Number(senders) || unwritten > 0)
        return;
    told = true;
    keep();
    trace(`quiet ${name} ${process.pid} ${run} 0 0`);
}

process.on('message', (m, handle) => {
    if (handle) handle.close();
    heard.add(m.from);
    if (m.re !== undefined && m.from == '$') {
        note(`${m.err ? 'b' : 'k'} ${m.re} ${m.err || ''}`);
        if (m.err && waiting.delete(m.re)) say(peers.find(p => p == m.to), -1);
    } else if (m.re !== undefined) {
        note(`v ${m.from} ${m.msg[0]} ${m.re}`);
        waiting.delete(m.re);
    } else {
        const [n, text, with_handle] = m.msg;
        if (text.length != length(n) || (with_handle && !handle)) throw new Error('not as it was sent');
        if (n < 0) ends++;
        else note(`r ${m.from} ${n}`);
        if (m.id !== undefined) {
            note(`w ${m.from} ${++answers}`);
            write({to: m.from, re: m.id, msg: [answers]});
        }
    }
    finish();
});
process.on('disconnect', () => { keep(); trace(`eof ${name} ${process.pid} ${run}`); });
process.on('SIGTERM', () => {
    const status = process.pid % 200 + 1;
    trace(`end ${name} ${process.pid} ${run} ${status} 0 0`);
    process.exit(status);
});
trace(`start ${name} ${process.pid} ${run}`);
server.listen(path.join(directory, 'handle.' + name), burst);
