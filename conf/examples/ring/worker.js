// In Node: starts a round when told to "go", and says so when it has come back.
'use strict';

process.on('message', (message) => {
  if (message === 'go') {
    process.send({ to: 'python', msg: 'node' });
  } else if (message.msg !== undefined) {
    process.send({ round: `${message.msg} > node` });
  }
});
