"""Sends a file with aiosmtplib. usage: PORT SENDER FILE RECIPIENT..."""
import asyncio
import sys

import aiosmtplib


async def send(port, sender, path, *recipients):
    with open(path, "rb") as message:
        content = message.read()
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=int(port), timeout=30) as client:
        refused, answer = await client.sendmail(sender, list(recipients), content, mail_options=["BODY=8BITMIME"])
        assert not refused, refused
        print(answer)


asyncio.run(send(*sys.argv[1:]))
