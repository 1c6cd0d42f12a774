# usher.verify_token() with ES256: against what OpenSSL alone takes for the signature (bench/openssl_verify.c), and seen before
# against HS256 seen before, where the signature no longer counts: 100 tokens again and again.
use base64url;

my $library = "$ENV{BUILD}/bench/openssl_verify";
my $include = `$ENV{PG_CONFIG} --includedir-server`;
chomp $include;
system('cc', '-O2', '-fPIC', '-shared', "-I$include", '-o', "$library.so", "$ENV{SRC}/bench/openssl_verify.c", '-lcrypto') == 0
    or die "could not compile bench/openssl_verify.c\n";

my $tables = '';
for my $algorithm ('HS256', 'ES256') {
    my $table = lc $algorithm;
    $tables .= qq{
        SELECT usher.rotate_signing_key('$algorithm');
        CREATE TABLE bench.$table AS
            SELECT n, usher.issue_token(u.id, '{"role": "client"}', '12 hours') AS token
            FROM usher.users u, generate_series(1, 10000) AS n WHERE u.email = 'bench\@token.example';
        CREATE TABLE bench.${table}_repeated AS
            SELECT t.token FROM generate_series(1, 100) AS again, bench.$table t WHERE t.n <= 100 ORDER BY again, t.n;
        VACUUM (FREEZE, ANALYZE) bench.$table;
        VACUUM (FREEZE, ANALYZE) bench.${table}_repeated;};
}

return {
    title  => 'ES256 access tokens verified inside one statement',
    rows   => 10_000,
    rounds => 5,
    setup  => $base64url::setup . qq{
        DELETE FROM usher.signing_keys;
        DELETE FROM usher.users WHERE email = 'bench\@token.example';
        INSERT INTO usher.users (email, status) VALUES ('bench\@token.example', 'active');
        $tables
        CREATE FUNCTION bench.set_key(pem text) RETURNS void LANGUAGE c STRICT AS '$library', 'bench_set_key';
        CREATE FUNCTION bench.der(raw bytea) RETURNS bytea LANGUAGE c STRICT AS '$library', 'bench_der';
        CREATE FUNCTION bench.verify(message text, signature bytea) RETURNS boolean LANGUAGE c STRICT AS '$library', 'bench_verify';
        SELECT bench.set_key(private_key) FROM usher.signing_keys WHERE algorithm = 'ES256';
        CREATE TABLE bench.signatures AS
            SELECT split_part(token, '.', 1) || '.' || split_part(token, '.', 2) AS message,
                   bench.der(bench.from_base64url(split_part(token, '.', 3))) AS signature
            FROM bench.es256;
        VACUUM (FREEZE, ANALYZE) bench.signatures;
        DO \$\$
        BEGIN
            ASSERT (SELECT bool_and(bench.verify(message, signature) AND NOT bench.verify(message || 'A', signature)) FROM bench.signatures LIMIT 100);
            ASSERT (SELECT bool_and((usher.verify_token(token)).claims IS NOT NULL) FROM bench.es256);
        END \$\$;
    },
    variants => [
        { name => 'nothing', measure => 'SELECT count(length(token)) FROM bench.es256;' },
        { name => 'OpenSSL, the signature alone', measure => 'SELECT count(bench.verify(message, signature)) FROM bench.signatures;' },
        { name => 'verify_token(), ES256, first sight', ours => 1, measure => 'SELECT count((usher.verify_token(token)).claims) FROM bench.es256;' },
        { name => 'verify_token(), HS256, seen before', ours => 1,
          reset => 'SELECT count((usher.verify_token(token)).claims) FROM bench.hs256 WHERE n <= 100;',
          measure => 'SELECT count((usher.verify_token(token)).claims) FROM bench.hs256_repeated;' },
        { name => 'verify_token(), ES256, seen before', ours => 1,
          reset => 'SELECT count((usher.verify_token(token)).claims) FROM bench.es256 WHERE n <= 100;',
          measure => 'SELECT count((usher.verify_token(token)).claims) FROM bench.es256_repeated;' },
    ],
    targets => [
        { variant => 'verify_token(), ES256, first sight', against => 'OpenSSL, the signature alone', at_most => 1.3 },
    ],
};
