# Sends a file with Net::SMTP. usage: PORT SENDER FILE RECIPIENT...
# With CLIENT_USER and CLIENT_PASSWORD it logs in first.
use strict;
use warnings;
use Net::SMTP;

my ($port, $sender, $path, @recipients) = @ARGV;
open(my $file, '<:raw', $path) or die "$path: $!";
my $content = do { local $/; <$file> };
# It makes CR LF of a lone LF, and would make CR CR LF of CR LF.
$content =~ s/\r\n/\n/g;

my $client = Net::SMTP->new('127.0.0.1', Port => $port, Hello => 'client.test', Timeout => 30) or die "connect: $@";
if ($ENV{CLIENT_USER}) {
    $client->auth($ENV{CLIENT_USER}, $ENV{CLIENT_PASSWORD}) or die 'auth: ' . $client->message;
}
$client->mail($sender, Bits => 8, Size => length $content) or die 'mail: ' . $client->message;
$client->recipient($_) or die 'rcpt: ' . $client->message for @recipients;
$client->data($content) or die 'data: ' . $client->message;
$client->quit;
