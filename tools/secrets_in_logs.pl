# Searches the logs of all servers that a test run has started for secrets of usher: no message, detail, hint or context may have one.
# usage: secrets_in_logs.pl FOLDER
# Statements are left out: what somebody types into the text of a statement is logged as it stands (docs/identity.md). Their
# parameters are not.
use strict;
use warnings;
use File::Find;

my %secret = (
    'a refresh token'    => qr/\burt_[A-Za-z0-9_-]{40,}/,
    'an API key'         => qr/\buak_[0-9a-f]{12}_[A-Za-z0-9_-]{40,}/,
    'an access token'    => qr/\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/,
    'a password hash'    => qr/\$argon2id?\$v=19\$[a-z0-9=,]+\$[A-Za-z0-9+\/]{11,}|\$2[aby]\$\d\d\$[.\/A-Za-z0-9]{53}/,
    'a private key'      => qr/-----BEGIN [A-Z ]*PRIVATE KEY|"d" *: *"[A-Za-z0-9_-]{20,}"/,
    'a one-time token'   => qr/"token" *: *"[A-Za-z0-9_-]{40,}"|"code" *: *"\d{6}"/,
    'a token in a link'  => qr/[?&]token=[A-Za-z0-9_-]{40,}/,
    'a webhook secret'   => qr/\bwhsec_[A-Za-z0-9+\/]{40,}/,
    'a password'         => qr/correct horse battery|a new and better one|S3CRET-marker/,
);
my ($files, $entries, $bad) = (0, 0, 0);
sub look_at
{
    my ($file, $entry) = @_;
    $entries++;
    # the text of a statement: logged as such, quoted in a context, or under an error; not the DETAIL with its parameters
    return if $entry =~ /^\S+ \S+ \S+ .*?(?:STATEMENT|QUERY|LOCATION):  |LOG:  (?:[0-9A-Z]{5}: )?(?:statement|execute [^:]*|duration: [^:]*):/;
    $entry =~ s/(?:SQL (?:statement|expression)|unnamed portal|PL\/pgSQL assignment) ".*//s;
    for my $kind (sort keys %secret)
    {
        next unless $entry =~ $secret{$kind};
        $bad++;
        print "$file has $kind:\n$entry" if $bad <= 20;
    }
}
sub search
{
    my ($file) = @_;
    open my $log, '<', $file or die "$file: $!";
    $files++;
    my $entry = '';
    while (my $line = <$log>)
    {
        if ($line !~ /^\t/ && $entry ne '') { look_at($file, $entry); $entry = '' }
        $entry .= $line;
    }
    look_at($file, $entry) if $entry ne '';
}
find({ no_chdir => 1, wanted => sub { search($_) if -f && /(?:postmaster|\/tmp_check\/log\/(?!regress_log_).*)\.log$/ } }, @ARGV);
print "secrets in $files server logs, $entries entries: $bad\n";
exit($bad ? 1 : 0);
