// SPDX-License-Identifier: Apache-2.0
// A WebSocket echo on Debian's node-ws: no compression, no client tracking; on
// path /fan every message goes to all connections there.
//	node peer_node.js PORT CERT KEY TICKET_KEYS
'use strict';
const fs = require('fs');
const https = require('https');
const WebSocket = require('/usr/share/nodejs/ws');

const [port, cert, key, tickets] = process.argv.slice(2);
const SSL_OP_ALLOW_NO_DHE_KEX = 0x400;
const server = https.createServer({
	cert: fs.readFileSync(cert), key: fs.readFileSync(key),
	ticketKeys: fs.readFileSync(tickets).subarray(0, 48),
	secureOptions: SSL_OP_ALLOW_NO_DHE_KEX
});
const wss = new WebSocket.WebSocketServer({
	server, perMessageDeflate: false, clientTracking: false,
	skipUTF8Validation: true, maxPayload: 1 << 20
});
const all = new Set();

wss.on('connection', (ws, request) => {
	ws.on('error', () => {});
	if (request.url !== '/fan') {
		ws.on('message', (data, binary) => ws.send(data, { binary }));
		return;
	}
	all.add(ws);
	ws.on('close', () => all.delete(ws));
	ws.on('message', (data, binary) => {
		for (const one of all)
			one.send(data, { binary });
	});
});
server.on('tlsClientError', () => {});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
