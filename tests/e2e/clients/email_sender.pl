# Sends a file with Email::Sender. usage: PORT SENDER FILE RECIPIENT...
use strict;
use warnings;
use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::SMTP;

my ($port, $sender, $path, @recipients) = @ARGV;
open(my $file, '<:raw', $path) or die "$path: $!";
my $content = do { local $/; <$file> };
my $transport = Email::Sender::Transport::SMTP->new(
    {host => '127.0.0.1', port => $port, helo => 'client.test', timeout => 30});
sendmail($content, {from => $sender, to => \@recipients, transport => $transport});
