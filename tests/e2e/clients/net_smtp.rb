# Sends a file with Net::SMTP. usage: PORT SENDER FILE RECIPIENT...
# With CLIENT_USER, CLIENT_PASSWORD and CLIENT_MECHANISM it logs in first.
require 'net/smtp'

port, sender, path, *recipients = ARGV
mechanism = ENV['CLIENT_MECHANISM']&.downcase&.to_sym
client = Net::SMTP.new('127.0.0.1', port.to_i)
client.disable_starttls
client.start('client.test', ENV['CLIENT_USER'], ENV['CLIENT_PASSWORD'], mechanism) do |smtp|
  smtp.send_message(File.binread(path), sender, recipients)
end
