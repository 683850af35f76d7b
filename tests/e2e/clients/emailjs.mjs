// Sends a file's content with emailjs. usage: MODULES PORT SENDER FILE RECIPIENT...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, port, sender, path, ...recipients] = process.argv.slice(2);
const { SMTPClient } = await import(createRequire(modules + "/").resolve(modules + "/emailjs"));
const client = new SMTPClient({ host: "127.0.0.1", port: Number(port), ssl: false, tls: false, domain: "client.test" });
const text = readFileSync(path, "utf8");
client.send({ from: sender, to: recipients.join(", "), subject: "sent by emailjs",
    text: text.slice(text.indexOf("\r\n\r\n") + 4) }, (problem) => {
    if (problem) {
        console.error(problem);
        process.exitCode = 1;
    }
});
