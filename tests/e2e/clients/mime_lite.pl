# Sends a file's content with MIME::Lite. usage: PORT SENDER FILE RECIPIENT...
use strict;
use warnings;
use MIME::Lite;

my ($port, $sender, $path, @recipients) = @ARGV;
open(my $file, '<:raw', $path) or die "$path: $!";
my $content = do { local $/; <$file> };
$content =~ s/\A.*?\r\n\r\n//s;
$content =~ s/\r\n/\n/g;
my $message = MIME::Lite->new(
    From     => $sender,
    To       => join(', ', @recipients),
    Subject  => 'sent by MIME::Lite',
    Type     => 'text/plain; charset=utf-8',
    Encoding => '8bit',
    Data     => $content);
$message->send('smtp', '127.0.0.1', Port => $port, Hello => 'client.test', Timeout => 30) or die 'not sent';
