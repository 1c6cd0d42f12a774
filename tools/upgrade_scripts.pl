# Makes the scripts that lead from one version of extensions to another and back, carries them out, and compares what comes out with
# what CREATE EXTENSION makes. Run by ./dev upgrade-scripts; docs/upgrade.md says how they come about.
#
#   upgrade_scripts.pl from=0.9.0 to=1.0.0 old=FOLDER new=FOLDER steps=PATTERN out=FOLDER share=FOLDER server=CONNINFO EXTENSION...
#
# old and new hold EXTENSION--VERSION.sql; steps is where the hand-written steps are (%s stands for the extension), share where the
# server looks for extensions; server names a superuser and no database. Databases called upgrade_… are made there, and dropped; with
# only_scripts=1 nothing is carried out, and upgrade_old and upgrade_new stay.
#
# Functions, views, triggers, comments and registrations are taken over whole, those that differ. What differs of a table or a type needs a
# step, EXTENSION_FOLDER/FROM--TO.tables.sql: it begins with a comment that says what changes and why, and its parts stand
#   before everything else
#   --- at NAME        where the new install script makes the table or type NAME
#   --- end            after everything else
use strict;
use warnings;
use File::Basename;
use File::Copy;
use JSON::PP;

my (%option, @extensions);
for (@ARGV) { if (/^(\w+)=(.*)$/s) { $option{$1} = $2 } else { push @extensions, $_ } }
for (qw(from to old new out share server)) { defined $option{$_} or die "upgrade_scripts.pl: $_= is missing\n" }
my $is_suite = grep { $_ eq 'usher' } @extensions;
my @features = grep { $_ ne 'usher' } @extensions; # those that the older version has not are among them
my $describe = dirname(__FILE__) . '/describe.sql';
my $json = JSON::PP->new->utf8->canonical;

# --- the server -------------------------------------------------------------------------------------------------------

sub psql
{
	my ($database, @arguments) = @_;
	my $pid = open(my $out, '-|') // die "fork: $!";
	if (!$pid)
	{
		open STDERR, '>&', \*STDOUT;
		exec 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', "$option{server} dbname=$database", @arguments or die "psql: $!";
	}
	my $answer = do { local $/; <$out> } // '';
	close $out;
	return ($? == 0, $answer);
}

sub run_sql
{
	my ($what, $database, @statements) = @_;
	my ($good, $answer) = psql($database, map { ('-c', $_) } 'SET client_min_messages = warning', @statements);
	$good or refuse("$what fails:\n$answer");
	return $answer;
}

sub refuse
{
	my ($text) = @_;
	print STDERR "$text\n";
	exit 1;
}

sub make_database
{
	my ($database, $version) = @_;
	run_sql('making a database', 'postgres', "DROP DATABASE IF EXISTS $database", "CREATE DATABASE $database");
	run_sql("CREATE EXTENSION VERSION '$version'", $database,
		($is_suite ? () : 'CREATE EXTENSION IF NOT EXISTS usher CASCADE'),
		map { $_ eq 'usher' ? "CREATE EXTENSION usher VERSION '$version' CASCADE" : ("CREATE SCHEMA at_$_", "CREATE EXTENSION $_ SCHEMA at_$_ VERSION '$version' CASCADE") } @extensions);
}

sub schema_of { $_[0] eq 'usher' ? 'usher' : "at_$_[0]" }

# What an extension is in a database: { kind => { name => { definition, … } } }
sub description_of
{
	my ($database, $extension) = @_;
	my ($good, $answer) = psql($database, '-v', "extension=$extension", '-f', $describe);
	$good or refuse("describing $extension fails:\n$answer");
	my %found;
	for (split /\n/, $answer)
	{
		my $object = $json->decode($_);
		$found{ $object->{kind} }{ $object->{name} } = $object;
	}
	return \%found;
}

# --- statements of a script -------------------------------------------------------------------------------------------

my $token = qr/
	(?<comment> --[^\n]*\n? | \/\*.*?\*\/ )
	| (?<text> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?<tag>\w*)\$.*?\$\k{tag}\$ )
	| (?<word> \w+ )
	| (?<other> . )/xs;

sub statements_of
{
	my ($script) = @_;
	$script =~ s/^\\.*\n//mg; # what psql is told
	my ($text, $depth, $before, @found) = ('', 0, '');
	while ($script =~ /\G$token/gc)
	{
		my ($piece, $is_comment, $word) = ($&, defined $+{comment}, uc($+{word} // ''));
		next if $is_comment && $text !~ /\S/; # before a statement; inside it stays
		if ($word eq 'ATOMIC' && $before eq 'BEGIN') { $depth = 1 }
		elsif ($depth && $word eq 'CASE') { $depth++ }
		elsif ($depth && $word eq 'END') { $depth-- }
		$before = $word if $piece =~ /\S/;
		$text .= $piece;
		next unless $piece eq ';' && !$depth;
		$text =~ s/^\s+//;
		push @found, { text => $text } if $text =~ /[^\s;]/;
		$text = '';
	}
	$text =~ /\S/ and refuse("a statement has no end:\n$text");
	return @found;
}

# For comparisons: white space and comments outside of quotes mean nothing.
sub plain
{
	my ($statement) = @_;
	my $plain = '';
	while ($statement =~ /\G$token/gc)
	{
		my ($piece, $is_comment, $is_text) = ($&, defined $+{comment}, defined $+{text});
		$piece = ' ' if $is_comment || !$is_text && $piece =~ /^\s$/;
		$plain .= $piece unless $piece eq ' ' && $plain =~ / \z/;
	}
	return $plain =~ s/^ | $//gr;
}

my $name = qr/(?:"(?:[^"]|"")+"|[\w\@]+)(?:\.(?:"(?:[^"]|"")+"|\w+))*/;

# kind, about (the object that it makes or is for) of each statement; functions with the types of their arguments, as the comment has them.
sub classified
{
	my @statements = @_;
	my @waiting;
	for my $one (@statements)
	{
		my $text = $one->{text};
		$one->{plain} = plain($text);
		if ($text =~ /^CREATE FUNCTION ($name)/) { @$one{qw(kind about)} = ('function', undef); push @waiting, [ $1, $one ] }
		elsif ($text =~ /^CREATE VIEW ($name)/) { @$one{qw(kind about)} = ('view', $1) }
		elsif ($text =~ /^CREATE (?:CONSTRAINT )?TRIGGER (\w+)\b.*?\bON ($name)/s) { @$one{qw(kind about table trigger)} = ('trigger', "$1 on $2", $2, $1) }
		elsif ($text =~ /^CREATE EVENT TRIGGER (\w+)/) { @$one{qw(kind about)} = ('event trigger', $1) }
		elsif ($text =~ /^CREATE TABLE ($name)/) { @$one{qw(kind about table)} = ('table', $1, $1) }
		elsif ($text =~ /^CREATE (?:UNIQUE )?INDEX \w+ ON ($name)/) { @$one{qw(kind about table)} = ('index', $1, $1) }
		elsif ($text =~ /^CREATE (?:TYPE|DOMAIN) ($name)/) { @$one{qw(kind about table)} = ('type', $1, $1) }
		elsif ($text =~ /^ALTER TABLE ($name)\s+ENABLE (?:ALWAYS|REPLICA) TRIGGER/) { @$one{qw(kind about table)} = ('state', $1, $1) }
		elsif ($text =~ /^(?:ALTER TABLE|CREATE POLICY \w+ ON) ($name)/) { @$one{qw(kind about table)} = ('alter', $1, $1) }
		elsif ($text =~ /^(COMMENT ON|REVOKE ALL ON) (?:FUNCTION|ROUTINE) ($name)\s*(\((?:[^()]|\([^()]*\))*\))/)
		{
			my ($verb, $function, $arguments) = ($1, $2, $3);
			@$one{qw(kind about)} = ($verb eq 'COMMENT ON' ? 'comment' : 'revoke', plain("$function$arguments"));
			for my $wait (grep { $_->[0] eq $function && !$_->[1]{about} } @waiting) { $wait->[1]{about} = $one->{about} }
		}
		elsif ($text =~ /^COMMENT ON COLUMN ($name)\.\w+ IS/) { @$one{qw(kind about table)} = ('comment', $1, $1) }
		elsif ($text =~ /^COMMENT ON TRIGGER (\w+) ON ($name)/) { @$one{qw(kind about table)} = ('comment', "$1 on $2", $2) }
		elsif ($text =~ /^COMMENT ON [A-Z ]+ ($name)/) { @$one{qw(kind about table)} = ('comment', $1, $1) }
		elsif ($text =~ /^REVOKE ALL ON (?:TABLE |SCHEMA )?($name)/) { @$one{qw(kind about table)} = ('revoke', $1, $1) }
		elsif ($text =~ /^SET LOCAL /) { $one->{kind} = 'set' }
		elsif ($text =~ /^SELECT usher\.finish_extension\(/) { $one->{kind} = 'finish' }
		elsif ($text =~ /^SELECT (?:usher\.(?:register_extension|define_machine|add_route|define_rate_limit|subscribe|define_model|create_permission|ship_rows|enable_audit|enable_updated_at|_watch_columns|_announce_changes)|(?:pg_catalog\.)?pg_extension_config_dump)\(/)
		{
			$one->{kind} = 'registration'; # each may be called again
		}
		else { $one->{kind} = 'other' }
	}
	for (@waiting) { $_->[1]{about} or refuse("function $_->[0] has no COMMENT ON FUNCTION, by which its arguments are known") }
	return @statements;
}

# Functions of a script by the names that the catalog has.
sub resolve_functions
{
	my ($database, $extension, @statements) = @_;
	my %known = map { $_->{about} => undef } grep { $_->{kind} eq 'function' } @statements;
	return {} unless %known;
	my $schema = schema_of($extension);
	my $values = join ', ', map { my $n = s/\@extschema\@/$schema/gr; $n =~ s/'/''/g; my $k = s/'/''/gr; "('$k', to_regprocedure('$n')::text)" } sort keys %known;
	my $answer = run_sql('naming functions', $database, 'SET search_path = pg_catalog', "SELECT json_build_object('k', k, 'v', v) FROM (VALUES $values) AS v (k, v)");
	for (split /\n/, $answer)
	{
		my $pair = $json->decode($_);
		$known{ $pair->{k} } = $pair->{v} // refuse("there is no function $pair->{k}");
	}
	return \%known;
}

# --- one script -------------------------------------------------------------------------------------------------------

sub read_file { my ($path) = @_; open my $fh, '<', $path or refuse("$path: $!"); local $/; return <$fh> }
sub write_file { my ($path, $text) = @_; open my $fh, '>', $path or refuse("$path: $!"); print $fh $text; close $fh or refuse("$path: $!") }

# The hand-written step: whether it is there, and its parts: '' => text, 'at NAME' => text, end => text
sub step_of
{
	my ($extension, $from, $to) = @_;
	my $path = ($option{steps} // '') =~ s/%s/$extension/r . "/$from--$to.tables.sql";
	return { path => $path, parts => {} } unless $option{steps} && -f $path;
	my ($text, $part, %parts) = (read_file($path), '');
	$text =~ /\A-- \w/ or refuse("$path does not begin with a comment that says what changes, and why");
	for (split /^/, $text)
	{
		if (/^--- (at \S+|end)\s*$/) { $part = $1; $parts{$part} //= '' }
		elsif (/^---/) { refuse("$path: not a part: $_") }
		else { $parts{$part} .= $_ }
	}
	return { path => $path, parts => \%parts, is_there => 1 };
}

sub needs_drop # may CREATE OR REPLACE make this one of that one?
{
	my ($kind, $old, $new) = @_;
	if ($kind eq 'view')
	{
		my @columns = @{ $old->{columns} };
		return grep { ($new->{columns}[$_] // '') ne $columns[$_] } 0 .. $#columns;
	}
	return $old->{result} ne $new->{result} || $old->{prokind} ne $new->{prokind} || $new->{defaults} < $old->{defaults}
		|| $json->encode($old->{arguments} // []) ne $json->encode($new->{arguments} // []);
}

# Both sides: { statements, description, functions (script name => catalog name), version }
sub script_between
{
	my ($extension, $old, $new) = @_;
	my ($from, $to) = ($old->{version}, $new->{version});
	my $step = step_of($extension, $from, $to);
	my (@missing, %differs, %dropped, %is_new);
	my $schema = schema_of($extension);
	my $catalog_name = sub {
		my ($side, $one) = @_;
		return $side->{functions}{ $one->{about} } if $one->{kind} eq 'function';
		return $one->{about} =~ s/\@extschema\@/$schema/gr;
	};
	my %makes = (function => 1, view => 1, trigger => 1, 'event trigger' => 1);
	my (%old_text, %old_made);
	for my $one (@{ $old->{statements} })
	{
		$old_text{ $one->{plain} }++;
		$old_made{"$one->{kind} " . $catalog_name->($old, $one)} = $one if $makes{ $one->{kind} } || $one->{kind} =~ /^(?:table|type)$/;
	}

	# What is gone, and what cannot be replaced; with all that depends on it.
	my %new_made = map { ("$_->{kind} " . $catalog_name->($new, $_) => $_) } grep { $makes{ $_->{kind} } || $_->{kind} =~ /^(?:table|type)$/ } @{ $new->{statements} };
	for my $key (keys %old_made)
	{
		my ($kind, $object) = $key =~ /^(event trigger|\w+) (.*)$/s;
		if (!$new_made{$key})
		{
			# triggers go with the table that the step drops
			if ($makes{$kind}) { $dropped{$key} = 1 }
			else { push @missing, $key }
		}
		elsif ($kind eq 'event trigger') { $dropped{$key} = 1 if $old_made{$key}{plain} ne $new_made{$key}{plain} }
		elsif ($kind eq 'function' || $kind eq 'view')
		{
			my ($was, $is) = map { $_->{description}{$kind}{$object} // refuse("$key is not in the catalog") } $old, $new;
			$differs{$key} = 1 if $was->{definition} ne $is->{definition} || $old_made{$key}{plain} ne $new_made{$key}{plain};
			$dropped{$key} = 1 if needs_drop($kind, $was, $is);
		}
		elsif ($kind eq 'trigger') { $differs{$key} = 1 if $old_made{$key}{plain} ne $new_made{$key}{plain} }
		elsif ($old_made{$key}{plain} ne $new_made{$key}{plain}) { push @missing, $key }
	}
	my @dependencies = values %{ $old->{description}{dependency} // {} };
	for (my $more = 1; $more;)
	{
		$more = 0;
		for (@dependencies) { if ($dropped{ $_->{of} } && !$dropped{ $_->{by} } && $old_made{ $_->{by} }) { $dropped{ $_->{by} } = $more = 1 } }
	}
	for my $key (keys %new_made) { $is_new{$key} = 1 if !$old_made{$key} }

	# dependents first
	my (@drops, %seen, $visit);
	$visit = sub {
		my ($key) = @_;
		return if $seen{$key}++;
		$visit->($_->{by}) for sort { $a->{by} cmp $b->{by} } grep { $_->{of} eq $key && $dropped{ $_->{by} } } @dependencies;
		push @drops, $key;
	};
	my %rank = ('event trigger' => 0, trigger => 1, view => 2, function => 3);
	my $rank_of = sub { $_[0] =~ /^(event trigger|\w+) / ? $rank{$1} : 9 };
	$visit->($_) for sort { $rank_of->($a) <=> $rank_of->($b) || $a cmp $b } keys %dropped;

	my $script = qq{\\echo Use "ALTER EXTENSION $extension UPDATE TO '$to'" to load this file. \\quit\n\n};
	$script .= "-- $from to $to. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.\n";
	$script .= "SET LOCAL search_path TO pg_catalog, pg_temp;\n\n" . order_check($extension, $from, $to) . drift_note($extension);
	$script .= "$step->{parts}{''}\n" if ($step->{parts}{''} // '') =~ /\S/;
	my %placed = ('' => 1);
	for my $key (@drops)
	{
		my $one = $old_made{$key};
		if ($one->{kind} eq 'trigger')
		{
			# may have gone with its table
			my $table_gone = !$new_made{'table ' . ($one->{table} =~ s/\@extschema\@/$schema/gr)};
			$script .= "DROP TRIGGER $one->{trigger} ON $one->{table};\n" unless $table_gone;
		}
		else { $script .= ('DROP ' . uc($one->{kind}) . " $one->{about};\n") =~ s/^(?=\N{120})(\N{1,118},) /$1\n    /r }
	}
	$script .= "\n" if @drops;

	# What the new script makes, in its order.
	my (%made_about, @unanswered);
	my $place = sub {
		my ($part) = @_;
		return if $placed{$part}++ || ($step->{parts}{$part} // '') !~ /\S/;
		$script .= ($step->{parts}{$part} =~ s/\A\n+|\n+\z//gr) . "\n\n";
	};
	for my $one (@{ $new->{statements} })
	{
		my ($kind, $about, $text) = @$one{qw(kind about text)};
		my $is_known = $old_text{ $one->{plain} };
		if ($kind eq 'function' || $kind eq 'view' || $kind eq 'trigger' || $kind eq 'event trigger')
		{
			my $key = "$kind " . $catalog_name->($new, $one);
			my $from_nothing = $is_new{$key} || $dropped{$key};
			next unless $from_nothing || $differs{$key};
			# nobody's object is taken over for a new one
			$text =~ s/^CREATE /CREATE OR REPLACE / if !$from_nothing;
			# which has made the line too long: broken before what it returns, or else after an argument
			$text =~ s/^(\N+\)) RETURNS/$1\n    RETURNS/ || $text =~ s/^(\N{1,118},) /$1\n        / if $text =~ /^\N{120}/;
			$script .= "$text\n";
			$made_about{$about} = $from_nothing ? 'new' : 'replaced';
			$made_about{"$one->{trigger} of $one->{table}"} = 1 if $kind eq 'trigger';
		}
		elsif ($kind eq 'table' || $kind eq 'type')
		{
			my $key = "$kind " . $catalog_name->($new, $one);
			if ($is_new{$key}) { $script .= "$text\n"; $made_about{$about} = 'new' }
			$place->("at $about");
		}
		elsif ($kind eq 'index' || $kind eq 'alter')
		{
			if (($made_about{ $one->{table} } // '') eq 'new') { $script .= "$text\n" }
			elsif (!$is_known) { push @missing, "a statement about $one->{table}: " . substr($one->{plain}, 0, 100) }
		}
		elsif ($kind eq 'state')
		{
			my @triggers = $text =~ /TRIGGER (\w+)/g;
			$script .= "$text\n" if !$is_known || grep { $made_about{"$_ of $one->{table}"} } @triggers;
		}
		elsif ($kind eq 'comment') { $script .= "$text\n" if !$is_known || ($made_about{$about} // '') eq 'new' }
		elsif ($kind eq 'revoke') { $script .= "$text\n" if ($made_about{$about} // '') eq 'new' }
		elsif ($kind eq 'registration')
		{
			# hooks, handlers and guards are found by name, but what registers them asks whether they are there
			$script .= "$text\n" if !$is_known;
		}
		elsif ($kind eq 'other') { push @unanswered, $one if !$is_known }
	}
	for my $part (sort keys %{ $step->{parts} }) { refuse("$step->{path}: $part: there is no such table or type") if $part =~ /^at/ && !$placed{$part} }
	refuse("$extension $from to $to: these differ, and there is no $step->{path}:\n" . join "\n", map { "  $_" } sort @missing) if @missing && !$step->{is_there};

	# rows that are no longer shipped; those of registrants, register_extension() writes anew
	for my $kind (sort grep { /^row of / } keys %{ $old->{description} })
	{
		for my $row (map { $old->{description}{$kind}{$_} } sort keys %{ $old->{description}{$kind} })
		{
			next if $new->{description}{$kind}{ $row->{name} };
			next if $json->decode($row->{definition})->{registrant};
			if ($row->{table} eq 'usher.machines')
			{
				refuse("$extension $from to $to: machine $row->{key}{name} is gone; $step->{path} has to say what becomes of it") if !$step->{is_there};
				next;
			}
			my @is = map { "r.$_ = '" . ($row->{key}{$_} =~ s/'/''/gr) . "'" } sort keys %{ $row->{key} };
			$script .= join("\n    AND ", "DELETE FROM $row->{table} AS r WHERE r.extension = '$extension'", @is) . ";\n";
		}
	}
	$place->('end');
	# what core was before 1.0 takes privileges away in the script, and with them their place in dumps
	my ($finish) = map { $_->{text} } grep { $_->{kind} eq 'finish' } @{ $new->{statements} };
	my $is_back = version_number($to) < version_number($from);
	$script .= $extension eq 'usher' && $is_back ? "SELECT usher._record_schema('usher');\n" : "$finish\n";
	return ($script, \@unanswered);
}

sub version_number { my ($major, $minor, $patch) = split /\./, $_[0]; return ($major * 1000 + $minor) * 1000 + ($patch // 0) }

# Features go up after core, and back before it.
sub order_check
{
	my ($extension, $from, $to) = @_;
	my $is_back = version_number($to) < version_number($from);
	return '' if !$is_suite || ($extension eq 'usher') != $is_back;
	my $version = join ',', split /\./, $to;
	my ($others, $is, $message, $hint) = $is_back
		? ("ANY ('{" . join(',', @features) . "}')", '>', 'the other extensions of usher have to go back first',
			"ALTER EXTENSION … UPDATE TO ''$to'', or DROP EXTENSION for one that is younger; then usher.")
		: ("'usher'", '<', 'extension "usher" has to be updated first', "ALTER EXTENSION usher UPDATE TO ''$to'';");
	return <<"SQL";
DO \$\$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = $others
                   AND string_to_array(e.extversion, '.')::integer[] $is '{$version}') THEN
        RAISE EXCEPTION '$message'
            USING ERRCODE = '55000',
                HINT = '$hint';
    END IF;
END
\$\$;

SQL
}

# What was not as recorded before is so afterwards, unless the script makes it anew (usher._record_schema()).
sub drift_note
{
	my ($extension) = @_;
	return <<"END";
INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('$extension') AS x ON x.object = d.object
WHERE d.extension = '$extension'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

END
}

# --- carrying out, comparing ------------------------------------------------------------------------------------------

sub compare
{
	my ($what, $extension, $wanted, $found, $ignore_positions) = @_;
	my @problems;
	my %kinds = map { $_ => 1 } grep { $_ ne 'dependency' } keys %$wanted, keys %$found;
	for my $kind (sort keys %kinds)
	{
		my %names = map { $_ => 1 } keys %{ $wanted->{$kind} // {} }, keys %{ $found->{$kind} // {} };
		for my $name (sort keys %names)
		{
			my ($good, $is) = ($wanted->{$kind}{$name}, $found->{$kind}{$name});
			if (!$is) { push @problems, "$kind $name is missing" }
			elsif (!$good) { push @problems, "$kind $name is left" }
			elsif ($good->{definition} ne $is->{definition}) { push @problems, "$kind $name is\n    $is->{definition}\n  instead of\n    $good->{definition}" }
			elsif (!$ignore_positions && ($good->{position} // 0) != ($is->{position} // 0)) { push @problems, "$kind $name has another place in its table: new columns stand last there" }
		}
	}
	return map { "$what, $extension: $_" } @problems;
}

sub update_all
{
	my ($what, $database, $to, @order) = @_;
	run_sql($what, $database, map { "ALTER EXTENSION $_ UPDATE TO '$to'" } @order);
}

my ($from, $to) = @option{qw(from to)};
my @upgraded = grep { -f "$option{old}/$_--$from.sql" } @extensions;
@upgraded or refuse("$option{old} has no scripts of version $from");
for my $extension (@upgraded)
{
	copy("$option{old}/$extension--$from.sql", "$option{share}/$extension--$from.sql") or refuse("$option{share}: $!");
	unlink "$option{share}/$extension--$from--$to.sql", "$option{share}/$extension--$to--$from.sql";
}
@extensions = @upgraded;
make_database('upgrade_old', $from);
make_database('upgrade_new', $to);
my (%sides, %notes);
for my $extension (@upgraded)
{
	for my $side ([ old => $from, $option{old} ], [ new => $to, $option{new} ])
	{
		my ($which, $version, $folder) = @$side;
		my @statements = classified(statements_of(read_file("$folder/$extension--$version.sql")));
		$sides{$extension}{$which} = { version => $version, statements => \@statements, description => description_of("upgrade_$which", $extension),
			functions => resolve_functions("upgrade_$which", $extension, @statements) };
	}
	my ($old, $new) = @{ $sides{$extension} }{qw(old new)};
	mkdir "$option{out}/$extension";
	for ([ $old, $new ], [ $new, $old ])
	{
		my ($script, $unanswered) = script_between($extension, @$_);
		my $file = "$extension--$_->[0]{version}--$_->[1]{version}.sql";
		write_file("$option{out}/$extension/$file", $script);
		copy("$option{out}/$extension/$file", "$option{share}/$file") or refuse("$option{share}: $!");
		push @{ $notes{$extension} }, map { "not taken over, since it may not be possible to do it again: " . substr($_->{plain}, 0, 150) } @$unanswered;
	}
}
exit 0 if $option{only_scripts};
make_database('upgrade_there', $from);
my @problems;
my @back = reverse @upgraded;
for my $round (1, 2)
{
	update_all("updating to $to", 'upgrade_there', $to, @upgraded);
	push @problems, compare("$from to $to", $_, $sides{$_}{new}{description}, description_of('upgrade_there', $_), $round > 1) for @upgraded;
	last if @problems;
	update_all("going back to $from", 'upgrade_there', $from, @back);
	push @problems, compare("$to to $from", $_, $sides{$_}{old}{description}, description_of('upgrade_there', $_), 1) for @upgraded;
	last if @problems;
}
run_sql('dropping a database', 'postgres', "DROP DATABASE $_") for qw(upgrade_old upgrade_new upgrade_there);
if (@problems)
{
	print STDERR "$_\n" for @problems, map { my $e = $_; map { "$e: $_" } @{ $notes{$e} // [] } } @upgraded;
	refuse('What an update makes is not what CREATE EXTENSION makes: write the rest into ' . (($option{steps} // '%s') =~ s/%s/EXTENSION/r) . "/$from--$to.tables.sql (and $to--$from.tables.sql)");
}
