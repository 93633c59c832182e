// SPDX-License-Identifier: Apache-2.0
// A WebSocket echo on Debian's node-ws: no compression, no client tracking.
//	node peer_node.js PORT CERT KEY
'use strict';
const fs = require('fs');
const https = require('https');
const WebSocket = require('/usr/share/nodejs/ws');

const [port, cert, key] = process.argv.slice(2);
const server = https.createServer({
	cert: fs.readFileSync(cert), key: fs.readFileSync(key)
});
const wss = new WebSocket.WebSocketServer({
	server, perMessageDeflate: false, clientTracking: false,
	skipUTF8Validation: true, maxPayload: 1 << 20
});

wss.on('connection', (ws) => {
	ws.on('error', () => {});
	ws.on('message', (data, binary) => ws.send(data, { binary }));
});
server.on('tlsClientError', () => {});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
