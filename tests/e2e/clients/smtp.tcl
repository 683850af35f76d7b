# Sends a file with tcllib's smtp. usage: PORT SENDER FILE RECIPIENT...
package require mime
package require smtp

lassign $argv port sender path
set file [open $path r]
fconfigure $file -encoding utf-8 -translation crlf
set token [mime::initialize -string [read $file]]
close $file
set refused [smtp::sendmessage $token -originator $sender -recipients [join [lrange $argv 3 end] ,] \
    -servers 127.0.0.1 -ports $port -usetls 0]
mime::finalize $token
if {[llength $refused]} {
    puts stderr $refused
    exit 1
}
