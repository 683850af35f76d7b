<?php
// Sends a file's content with PHPMailer. usage: PORT SENDER FILE RECIPIENT...
// With CLIENT_USER, CLIENT_PASSWORD and CLIENT_MECHANISM it logs in first; CLIENT_TLS is starttls or implicit, whose
// certificate CLIENT_AUTHORITY, a file, has to vouch for (else nobody).
require_once 'libphp-phpmailer/autoload.php';

[, $port, $sender, $path] = $argv;
$content = file_get_contents($path);
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = '127.0.0.1';
$mail->Port = (int)$port;
$mail->SMTPAutoTLS = false;
$mail->Timeout = 30;
if (getenv('CLIENT_TLS')) {
    $mail->SMTPDebug = PHPMailer\PHPMailer\SMTP::DEBUG_CONNECTION; // else it does not say why it did not connect
    $mail->SMTPSecure = ['starttls' => 'tls', 'implicit' => 'ssl'][getenv('CLIENT_TLS')];
    $authority = getenv('CLIENT_AUTHORITY');
    $mail->SMTPOptions = ['ssl' => ['verify_peer' => (bool)$authority, 'verify_peer_name' => (bool)$authority,
        'cafile' => $authority ?: null]];
}
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
