// A worker in Node: nothing here knows of Drover, this is what child_process.fork() offers.
'use strict';

process.on('message', (message) => {
  if (message.id !== undefined) {
    process.send({ re: message.id, msg: { worker: 'node', heard: message.msg } });
  }
});

process.on('disconnect', () => {
  console.log('the supervisor has closed the channel');
});

process.send({ ready: 'node' });
