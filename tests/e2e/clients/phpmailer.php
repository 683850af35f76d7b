<?php
// Sends a file's content with PHPMailer. usage: PORT SENDER FILE RECIPIENT...
// With CLIENT_USER, CLIENT_PASSWORD and CLIENT_MECHANISM it logs in first.
require_once 'libphp-phpmailer/autoload.php';

[, $port, $sender, $path] = $argv;
$content = file_get_contents($path);
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = '127.0.0.1';
$mail->Port = (int)$port;
$mail->SMTPAutoTLS = false;
$mail->Timeout = 30;
if (getenv('CLIENT_USER')) {
    $mail->SMTPAuth = true;
    $mail->AuthType = getenv('CLIENT_MECHANISM');
    $mail->Username = getenv('CLIENT_USER');
    $mail->Password = getenv('CLIENT_PASSWORD');
}
$mail->setFrom($sender);
foreach (array_slice($argv, 4) as $recipient) {
    $mail->addAddress($recipient);
}
$mail->Subject = 'sent by PHPMailer';
$mail->CharSet = 'utf-8';
$mail->Encoding = '8bit';
// It adds a line end to the last line.
$mail->Body = substr($content, strpos($content, "\r\n\r\n") + 4, -2);
$mail->send();
