#!/bin/sh
# META.json is what the PGXN Meta Spec 1.0.0 wants, to the letter: required keys, forms of terms, versions, tags and licences, no key that
# is not in it. That what it names is there is looked at in version.sh.
set -eu
exec perl -MJSON::PP - "$SRC/META.json" <<'END_OF_PROGRAM'
use strict;
use warnings;
my ($file) = @ARGV;
open my $handle, '<', $file or die "$file: $!";
my $meta = decode_json(join '', <$handle>);
my $bad = 0;
sub complain { print "META.json: @_\n"; $bad = 1 }

# --- the forms of the spec
my $number = qr/(?:0|[1-9]\d*)/;
my $semver = qr/$number\.$number\.$number(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?/;
sub is_text { my ($value) = @_; return defined $value && !ref $value && $value ne '' }
sub is_term { my ($value) = @_; return is_text($value) && length $value >= 2 && $value !~ m{[\s/\\[:cntrl:]]} }
sub is_version { my ($value) = @_; return is_text($value) && $value =~ /^$semver$/ }
sub is_range { my ($value) = @_; return is_text($value) && $value =~ /^(?:0|(?:(?:==|!=|<=|>=|<|>)?\s*$semver)(?:\s*,\s*(?:==|!=|<=|>=|<|>)?\s*$semver)*)$/ }
sub is_url { my ($value) = @_; return is_text($value) && $value =~ m{^[a-z][a-z0-9+.-]*://\S+$} }
sub is_tag { my ($value) = @_; return is_text($value) && length $value <= 255 && $value !~ m{[/\\[:cntrl:]]} }
sub is_list_of { my ($check, $value) = @_; my @items = ref $value eq 'ARRAY' ? @$value : $value; return @items > 0 && !grep { !$check->($_) } @items }
my %licenses = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3 lgpl_2_1
    lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);
sub is_license
{
    my ($value) = @_;
    return !grep { !is_text($_) || !is_url($value->{$_}) } keys %$value if ref $value eq 'HASH';
    return is_list_of(sub { is_text($_[0]) && $licenses{ $_[0] } }, $value);
}
# Keys of an object: name => [ is it required, check ]. What begins with x_ is anybody's.
sub check_object
{
    my ($where, $object, $keys) = @_;
    return complain("$where is no object") if ref $object ne 'HASH';
    for my $key (sort keys %$keys) { complain("$where has no $key") if $keys->{$key}[0] && !exists $object->{$key} }
    for my $key (sort keys %$object)
    {
        next if $key =~ /^x_/i;
        my $rule = $keys->{$key} or complain("$where has $key, which is not in the spec"), next;
        $rule->[1]->($object->{$key}) or complain("$where: $key is not as the spec wants it");
    }
}
sub is_prereqs
{
    my ($value) = @_;
    for my $phase (sort keys %$value)
    {
        complain("prereqs: there is no phase $phase") if $phase !~ /^(?:configure|build|test|runtime|develop)$/;
        for my $relation (sort keys %{ $value->{$phase} })
        {
            complain("prereqs: there is no relation $relation") if $relation !~ /^(?:requires|recommends|suggests|conflicts)$/;
            my $needed = $value->{$phase}{$relation};
            complain("prereqs: $_ $needed->{$_}") for grep { !is_term($_) || !is_range($needed->{$_}) } sort keys %$needed;
        }
    }
    return 1;
}
sub is_provides
{
    my ($value) = @_;
    for my $name (sort keys %$value)
    {
        complain("provides: $name is no term") if !is_term($name);
        check_object("provides: $name", $value->{$name},
            { file => [ 1, \&is_text ], version => [ 1, \&is_version ], abstract => [ 0, \&is_text ], docfile => [ 0, \&is_text ] });
    }
    return keys %$value > 0;
}
sub is_resources
{
    my ($value) = @_;
    check_object('resources', $value, { homepage => [ 0, \&is_url ],
        bugtracker => [ 0, sub { check_object('bugtracker', $_[0], { web => [ 0, \&is_url ], mailto => [ 0, sub { $_[0] =~ /@/ } ] }); 1 } ],
        repository => [ 0, sub { check_object('repository', $_[0], { web => [ 0, \&is_url ], url => [ 0, \&is_url ], type => [ 0, sub { $_[0] eq lc $_[0] } ] }); 1 } ] });
    return 1;
}

check_object('it', $meta, {
    name => [ 1, \&is_term ], version => [ 1, \&is_version ], abstract => [ 1, \&is_text ], maintainer => [ 1, sub { is_list_of(\&is_text, $_[0]) } ],
    license => [ 1, \&is_license ], provides => [ 1, \&is_provides ],
    'meta-spec' => [ 1, sub { check_object('meta-spec', $_[0], { version => [ 1, sub { $_[0] =~ /^1\.0\.\d+$/ } ], url => [ 0, \&is_url ] }); 1 } ],
    description => [ 0, \&is_text ], generated_by => [ 0, \&is_text ], tags => [ 0, sub { ref $_[0] eq 'ARRAY' && is_list_of(\&is_tag, $_[0]) } ],
    no_index => [ 0, sub { check_object('no_index', $_[0], { file => [ 0, sub { 1 } ], directory => [ 0, sub { 1 } ] }); 1 } ],
    prereqs => [ 0, \&is_prereqs ], release_status => [ 0, sub { $_[0] =~ /^(?:stable|testing|unstable)$/ } ], resources => [ 0, \&is_resources ] });
exit $bad;
END_OF_PROGRAM
