// Is given connections, and says who it is to each.
'use strict';

const me = process.argv[2];

process.on('message', (m, connection) => {
  if (!connection) return;
  connection.on('error', () => {}); // whoever hangs up ends nobody else
  const rest = Buffer.from(m.msg.rest, 'base64');
  connection.end(`${me} greets ${m.msg.name}, who said ${rest.toString().trim()}\n`);
});
