# Carries out the blocks of a page: shell and SQL, as somebody would who follows it.
package CarriedOut;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(as_debian_has_it run_block sh);

# Runs a block of DocumentBlocks, looks at what it prints, and returns it.
sub run_block
{
	my ($block) = @_;
	my ($out, $err) = ('', '');
	my ($in, @command) = $block->{language} eq 'sh' ? ('', 'sh', '-ec', $block->{text}) : ($block->{text}, 'psql', '-X', '-v', 'ON_ERROR_STOP=1');
	my $good = IPC::Run::run(\@command, '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default * 2));
	ok($block->{fails} ? !$good : $good, "line $block->{line}: " . ($block->{fails} ? 'is refused' : 'runs')) or diag("$out\n$err");
	for my $expected (@{ $block->{expect} })
	{
		like("$out$err", qr/$expected/m, "line $block->{line}: prints what is said");
	}
	return $out;
}

# A line of shell that must work; returns what it prints.
sub sh
{
	my ($text) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'sh', '-ec', $text ], '<', \undef, '>', \$out, '2>', \$err) or die "$text:\n$out$err";
	chomp $out;
	return $out;
}

# Debian's layout for a server that is stopped: its settings in a folder of their own, and systemctl, which starts it with them. Returns
# that folder, the CONF of pages, and one of programs for the PATH.
sub as_debian_has_it
{
	my ($node) = @_;
	my ($folder, $data) = (PostgreSQL::Test::Utils::tempdir(), $node->data_dir);
	mkdir "$folder/$_" or die for qw(conf conf/conf.d bin);
	for my $name (qw(postgresql.conf pg_hba.conf pg_ident.conf))
	{
		rename "$data/$name", "$folder/conf/$name" or die "$name: $!";
		chmod 0640, "$folder/conf/$name";
	}
	append_to_file("$folder/conf/postgresql.conf", "data_directory = '$data'\nhba_file = '$folder/conf/pg_hba.conf'\n"
		  . "ident_file = '$folder/conf/pg_ident.conf'\nexternal_pid_file = '$folder/pid'\ninclude_dir = 'conf.d'\n");
	append_to_file("$folder/bin/systemctl", <<"SH");
#!/bin/sh
[ "\$2" = postgresql\@15-main ] && exec pg_ctl -D '$data' -o '-c config_file=$folder/conf/postgresql.conf' -w -l '$folder/server.log' "\$1"
SH
	chmod 0755, "$folder/bin/systemctl";
	return ("$folder/conf", "$folder/bin");
}

1;
