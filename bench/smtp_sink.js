// Takes every message and forgets it: npm smtp-server, for bench/cases/courier_program.pl. Prints its port.
'use strict';
const { SMTPServer } = require('smtp-server');
const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'], disableReverseLookup: true, logger: false,
    onData(stream, session, done) { stream.on('end', () => done()); stream.resume(); },
});
server.listen(0, '127.0.0.1', () => console.log(server.server.address().port));
process.stdin.resume().on('end', () => process.exit(0));
