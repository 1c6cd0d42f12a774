/* What bare OpenSSL takes to verify an ES256 signature: the yardstick of bench/cases/token_es256.pl, which compiles it. */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

PG_MODULE_MAGIC;

static EVP_PKEY *key;

PG_FUNCTION_INFO_V1(bench_set_key);
Datum bench_set_key(PG_FUNCTION_ARGS)
{
	text *pem = PG_GETARG_TEXT_PP(0);
	BIO *bio = BIO_new_mem_buf(VARDATA_ANY(pem), VARSIZE_ANY_EXHDR(pem));

	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (key == NULL)
		elog(ERROR, "not a key");
	PG_RETURN_VOID();
}

/* r||s, as JWS has it, in the DER form that OpenSSL takes. */
PG_FUNCTION_INFO_V1(bench_der);
Datum bench_der(PG_FUNCTION_ARGS)
{
	bytea *raw = PG_GETARG_BYTEA_PP(0);
	const unsigned char *bytes = (const unsigned char *) VARDATA_ANY(raw);
	ECDSA_SIG *signature = ECDSA_SIG_new();
	unsigned char *der = NULL;
	int size;
	bytea *result;

	ECDSA_SIG_set0(signature, BN_bin2bn(bytes, 32, NULL), BN_bin2bn(bytes + 32, 32, NULL));
	size = i2d_ECDSA_SIG(signature, &der);
	result = (bytea *) palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	memcpy(VARDATA(result), der, size);
	OPENSSL_free(der);
	ECDSA_SIG_free(signature);
	PG_RETURN_BYTEA_P(result);
}

PG_FUNCTION_INFO_V1(bench_verify);
Datum bench_verify(PG_FUNCTION_ARGS)
{
	text *message = PG_GETARG_TEXT_PP(0);
	bytea *signature = PG_GETARG_BYTEA_PP(1);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int result;

	EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key);
	result = EVP_DigestVerify(context, (const unsigned char *) VARDATA_ANY(signature), VARSIZE_ANY_EXHDR(signature),
							  (const unsigned char *) VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message));
	EVP_MD_CTX_free(context);
	PG_RETURN_BOOL(result == 1);
}
