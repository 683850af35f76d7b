# Sends a file with Net::SMTP. usage: PORT SENDER FILE RECIPIENT...
# With CLIENT_USER, CLIENT_PASSWORD and CLIENT_MECHANISM it logs in first; CLIENT_TLS is starttls or implicit, whose
# certificate CLIENT_AUTHORITY, a file, has to vouch for (else nobody), and CLIENT_VERSION the version.
require 'net/smtp'

port, sender, path, *recipients = ARGV
mechanism = ENV['CLIENT_MECHANISM']&.downcase&.to_sym
client = Net::SMTP.new('127.0.0.1', port.to_i)
client.disable_starttls
if ENV['CLIENT_TLS']
  context = OpenSSL::SSL::SSLContext.new
  context.ca_file = ENV['CLIENT_AUTHORITY']
  context.verify_mode = ENV['CLIENT_AUTHORITY'] ? OpenSSL::SSL::VERIFY_PEER : OpenSSL::SSL::VERIFY_NONE
  context.verify_hostname = true
  version = ENV['CLIENT_VERSION']&.sub('TLSv', 'TLS')&.sub('.', '_')&.to_sym
  context.min_version = context.max_version = version
  ENV['CLIENT_TLS'] == 'starttls' ? client.enable_starttls(context) : client.enable_tls(context)
end
client.start('client.test', ENV['CLIENT_USER'], ENV['CLIENT_PASSWORD'], mechanism) do |smtp|
  smtp.send_message(File.binread(path), sender, recipients)
end
