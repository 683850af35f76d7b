// Sends a file with nodemailer. usage: MODULES PORT SENDER FILE RECIPIENT...
// With CLIENT_USER, CLIENT_PASSWORD and CLIENT_MECHANISM it logs in first; CLIENT_TLS is starttls or implicit, whose
// certificate CLIENT_AUTHORITY, a file, has to vouch for (else nobody), and CLIENT_VERSION the version.
"use strict";
const [modules, port, sender, path, ...recipients] = process.argv.slice(2);
const nodemailer = require(modules + "/nodemailer");

const fs = require("fs");
const user = process.env.CLIENT_USER;
const begin = process.env.CLIENT_TLS;
const authority = process.env.CLIENT_AUTHORITY;
const version = process.env.CLIENT_VERSION || undefined;
const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: Number(port),
    ignoreTLS: !begin,
    requireTLS: begin === "starttls",
    secure: begin === "implicit",
    tls: {
        ca: authority && fs.readFileSync(authority),
        rejectUnauthorized: Boolean(authority),
        minVersion: version,
        maxVersion: version,
    },
    name: "client.test",
    auth: user && { user, pass: process.env.CLIENT_PASSWORD },
    authMethod: process.env.CLIENT_MECHANISM,
});
const content = fs.readFileSync(path);
transport.sendMail({ envelope: { from: sender, to: recipients, use8BitMime: true }, raw: content })
    .then((sent) => console.log(sent.response))
    .catch((problem) => { console.error(problem); process.exitCode = 1; });
