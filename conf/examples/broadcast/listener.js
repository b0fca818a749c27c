'use strict';

process.on('message', (m) => process.send({ node: 'has heard', news: m.msg.news, from: m.from }));
