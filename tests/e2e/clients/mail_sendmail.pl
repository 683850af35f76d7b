# Sends a file's content with Mail::Sendmail. usage: PORT SENDER FILE RECIPIENT...
use strict;
use warnings;
use Mail::Sendmail;

my ($port, $sender, $path, @recipients) = @ARGV;
open(my $file, '<:raw', $path) or die "$path: $!";
my $content = do { local $/; <$file> };
$content =~ s/\A.*?\r\n\r\n//s;
# It adds a line end to the last line.
$content =~ s/\r\n\z//;
# Otherwise it encodes the body as quoted-printable.
$Mail::Sendmail::mailcfg{mime} = 0;
sendmail(
    Smtp    => '127.0.0.1',
    Port    => $port,
    From    => $sender,
    To      => join(', ', @recipients),
    Subject => 'sent by Mail::Sendmail',
    Message => $content) or die $Mail::Sendmail::error;
