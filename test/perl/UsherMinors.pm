# What the modules of older minors of PostgreSQL, 16.2 for one, do otherwise. tools/tap.pl loads this for every test.
package UsherMinors;
use strict;
use warnings;

# A psql in the background answers with the newline at the end, or with that of the answer before.
if (eval { require PostgreSQL::Test::BackgroundPsql; 1 })
{
	my $query = \&PostgreSQL::Test::BackgroundPsql::query;
	no warnings 'redefine';
	*PostgreSQL::Test::BackgroundPsql::query = sub {
		my ($session) = @_;
		my ($answer, $failed) = &$query;
		$answer =~ s/\A\n|\n\z//g unless exists $session->{query_cnt};
		return wantarray ? ($answer, $failed) : $answer;
	};
}

1;
