// Sends a file with nodemailer. usage: MODULES PORT SENDER FILE RECIPIENT...
// With CLIENT_USER, CLIENT_PASSWORD and CLIENT_MECHANISM it logs in first.
"use strict";
const [modules, port, sender, path, ...recipients] = process.argv.slice(2);
const nodemailer = require(modules + "/nodemailer");

const user = process.env.CLIENT_USER;
const transport = nodemailer.createTransport({
    host: "127.0.0.1",
    port: Number(port),
    ignoreTLS: true,
    name: "client.test",
    auth: user && { user, pass: process.env.CLIENT_PASSWORD },
    authMethod: process.env.CLIENT_MECHANISM,
});
const content = require("fs").readFileSync(path);
transport.sendMail({ envelope: { from: sender, to: recipients, use8BitMime: true }, raw: content })
    .then((sent) => console.log(sent.response))
    .catch((problem) => { console.error(problem); process.exitCode = 1; });
