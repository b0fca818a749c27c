// Accepts, reads the first line, and sends the connection to the worker of that name.
'use strict';

const fs = require('fs');
const net = require('net');

const WORKERS = ['workers:one', 'workers:two', 'workers:three'];
const waiting = new Map(); // id -> connection that is on its way
let lastId = 0;

// Always the same worker for the same name.
function workerOf(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
  return WORKERS[hash % WORKERS.length];
}

// One byte at a time, so that what comes behind the line is left for the worker.
function readName(connection, then) {
  let name = '';
  connection.on('readable', function more() {
    for (let byte; (byte = connection.read(1)) !== null;) {
      if (byte[0] === 10) {
        connection.removeListener('readable', more);
        then(name.trim(), connection.read() || Buffer.alloc(0));
        return;
      }
      name += byte.toString('latin1');
    }
  });
  connection.on('error', () => {});
}

const server = net.createServer((connection) => {
  readName(connection, (name, rest) => {
    const id = ++lastId;
    const msg = { name, rest: rest.toString('base64') };
    waiting.set(id, connection);
    process.send({ to: workerOf(name), id, ack: true, msg }, connection);
  });
});

// {"from":"$","re":7,"ok":1}, or why not
process.on('message', (m) => {
  const connection = waiting.get(m.re);
  waiting.delete(m.re);
  if (connection && m.err) connection.destroy();
});

server.listen(0, '127.0.0.1', () => {
  fs.writeFileSync('port', `${server.address().port}\n`);
  process.send({ listening: server.address().port });
});
