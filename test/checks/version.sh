#!/bin/sh
# The version number stands in META.json; nothing else states one, and META.json agrees with itself and with sql/.
set -eu
cd "$SRC"
bad=0
complain() { echo "$*"; bad=1; }
perl -MJSON::PP -e '
    my ($file) = @ARGV;
    open my $fh, "<", $file or die "$file: $!";
    my $meta = decode_json(join "", <$fh>);
    my $bad = 0;
    for my $key (qw(name version abstract maintainer license provides meta-spec)) { # required by the PGXN Meta Spec 1.0.0
        next if exists $meta->{$key};
        print "META.json has no \"$key\"\n";
        $bad = 1;
    }
    $meta->{version} =~ /^\d+\.\d+\.\d+$/ or do { print "version is not three-part\n"; $bad = 1 };
    for my $name (sort keys %{ $meta->{provides} }) {
        my $one = $meta->{provides}{$name};
        if ($one->{version} ne $meta->{version}) { print "$name has version $one->{version}\n"; $bad = 1 }
        for my $key (qw(file docfile)) {
            next if !exists $one->{$key} || -f $one->{$key};
            print "$name: $key $one->{$key} does not exist\n";
            $bad = 1;
        }
        -f "sql/$name/$name.control" or do { print "$name has no control file\n"; $bad = 1 };
    }
    for my $control (glob "sql/*/*.control") {
        my ($name) = $control =~ m{([^/]+)\.control$};
        $meta->{provides}{$name} or do { print "META.json does not provide $name\n"; $bad = 1 };
        open my $lines, "<", $control or die "$control: $!";
        for my $needed (map { /^requires = .([\w, ]+)/ ? split /, */, $1 : () } <$lines>) {
            next if $meta->{provides}{$needed} || exists $meta->{prereqs}{runtime}{requires}{$needed};
            print "$name requires $needed, META.json does not\n";
            $bad = 1;
        }
    }
    exit $bad;
' META.json || bad=1
for control in sql/*/*.control; do
    grep -qx "default_version = '@USHER_VERSION@'" "$control" || complain "$control must say default_version = '@USHER_VERSION@'"
done
version=$(sed -n '/^  "version":/{s/.*: "\(.*\)".*/\1/p;q}' META.json)
[ -f CHANGELOG.md ] && grep -q "^## .*$version" CHANGELOG.md || complain "CHANGELOG.md has no heading for $version"
exit $bad
