-- What messages say in German, where nobody has decided otherwise. A line that ends with \ goes on in the next one.
INSERT INTO @extschema@.message_templates (event, audience, language, subject, body_text, body_html)
SELECT v.event, v.audience, 'de', v.subject, t.body, @extschema@._html_of_text(t.body, 'de')
FROM (VALUES
    ('user.email_verification_requested', 'user', 'Bestätigen Sie Ihre E-Mail-Adresse',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

bitte bestätigen Sie, dass dies Ihre E-Mail-Adresse ist:

{{app_url}}/verify-email?token={{token}}

Der Link gilt einmal, bis {{expires_at|datetime}} ({{time_zone}}). Wenn Sie sich nicht bei {{app_name}} \
angemeldet haben, brauchen Sie nichts zu tun.
$text$),
    ('user.password_reset_requested', 'user', 'Setzen Sie Ihr Passwort zurück',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

jemand, wahrscheinlich Sie selbst, möchte Ihr Passwort bei {{app_name}} zurücksetzen. Hier wählen Sie ein \
neues:

{{app_url}}/reset-password?token={{token}}

Der Link gilt einmal, bis {{expires_at|datetime}} ({{time_zone}}). Wenn Sie das nicht waren, brauchen Sie \
nichts zu tun: Ihr Passwort bleibt, wie es ist.
$text$),
    ('user.email_change_requested', 'user', 'Bestätigen Sie Ihre neue E-Mail-Adresse',
$text$Guten Tag,

bitte bestätigen Sie, dass dies die neue E-Mail-Adresse Ihres Kontos bei {{app_name}} ist:

{{app_url}}/verify-email?token={{token}}

Der Link gilt einmal, bis {{expires_at|datetime}} ({{time_zone}}). Wenn Sie nicht wissen, worum es geht, \
brauchen Sie nichts zu tun.
$text$),
    ('user.email_change_requested', 'account', 'Ihre E-Mail-Adresse soll geändert werden',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

jemand, wahrscheinlich Sie selbst, möchte die E-Mail-Adresse Ihres Kontos bei {{app_name}} in {{email}} \
ändern. Das geschieht, sobald die neue Adresse bestätigt ist.

Wenn Sie das nicht waren, ändern Sie jetzt Ihr Passwort.
$text$),
    ('user.email_changed', 'user', 'Ihre E-Mail-Adresse wurde geändert',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

dies ist jetzt die E-Mail-Adresse Ihres Kontos bei {{app_name}}.{{#former_email}} Vorher war es \
{{former_email}}.{{/former_email}}
$text$),
    ('user.email_changed', 'former_address', 'Ihre E-Mail-Adresse wurde geändert',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

die E-Mail-Adresse Ihres Kontos bei {{app_name}} wurde geändert. Nachrichten gehen nicht mehr an diese \
Adresse.

Wenn Sie das nicht waren, melden Sie sich sofort bei uns.
$text$),
    ('user.login_code_requested', 'user', 'Ihr Code zum Anmelden',
$text$Ihr Code zum Anmelden bei {{app_name}} lautet

{{code}}

Er gilt einmal, bis {{expires_at|time}} ({{time_zone}}). Sagen Sie ihn niemandem: Wir fragen nie danach. Wenn \
Sie keinen Code angefordert haben, brauchen Sie nichts zu tun.
$text$),
    ('user.verification_code_requested', 'user', 'Ihr Code zum Bestätigen Ihrer E-Mail-Adresse',
$text$Ihr Code zum Bestätigen dieser E-Mail-Adresse bei {{app_name}} lautet

{{code}}

Er gilt einmal, bis {{expires_at|time}} ({{time_zone}}). Sagen Sie ihn niemandem: Wir fragen nie danach. Wenn \
Sie keinen Code angefordert haben, brauchen Sie nichts zu tun.
$text$),
    ('user.registration_repeated', 'user', 'Sie haben schon ein Konto',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

jemand wollte sich bei {{app_name}} mit dieser E-Mail-Adresse registrieren, zu der es schon ein Konto gibt. \
Wenn Sie das waren, melden Sie sich an, oder setzen Sie Ihr Passwort zurück, wenn Sie es nicht mehr wissen:

{{app_url}}/forgot-password

Wenn Sie das nicht waren, brauchen Sie nichts zu tun: Ihr Konto bleibt, wie es ist.
$text$),
    ('user.password_changed', 'user', 'Ihr Passwort wurde geändert',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

das Passwort Ihres Kontos bei {{app_name}} wurde geändert. Wenn Sie das nicht waren, setzen Sie es jetzt \
zurück, und melden Sie sich bei uns:

{{app_url}}/forgot-password
$text$),
    ('user.new_device', 'user', 'Neue Anmeldung in Ihrem Konto',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

jemand, wahrscheinlich Sie selbst, hat sich in Ihrem Konto bei {{app_name}} von einem Gerät aus angemeldet, \
das wir noch nicht kennen{{#is_repeated}}, {{repeats}}-mal in kurzer Zeit. Die letzte \
Anmeldung{{/is_repeated}}:

{{#logged_in_at}}Zeit: {{logged_in_at|datetime}} ({{time_zone}}){{/logged_in_at}}{{#client_ip}}
Adresse: {{client_ip}}{{/client_ip}}{{#user_agent}}
Programm: {{user_agent}}{{/user_agent}}

Wenn Sie das nicht waren, ändern Sie jetzt Ihr Passwort: Das beendet auch alle Sitzungen.
$text$),
    ('user.locked', 'user', 'Ihr Konto ist eine Weile gesperrt',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

jemand hat für Ihr Konto bei {{app_name}} zu viele falsche Passwörter eingegeben{{#is_repeated}}, \
{{repeats}}-mal nacheinander{{/is_repeated}}. {{#reset_required}}Es ist wieder offen, wenn Sie Ihr Passwort \
zurücksetzen.{{/reset_required}}{{^reset_required}}Anmelden mit dem Passwort können Sie sich wieder ab \
{{locked_until|datetime}} ({{time_zone}}).{{/reset_required}} Ihr Passwort können Sie jederzeit zurücksetzen:

{{app_url}}/forgot-password
$text$),
    ('user.second_factor_added', 'user', 'Ein zweiter Faktor ist hinzugekommen',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

zu Ihrem Konto bei {{app_name}} ist ein zweiter Faktor hinzugekommen: Zum Anmelden brauchen Sie ab jetzt auch \
einen Code Ihrer Authenticator-App.

Wenn Sie das nicht waren, setzen Sie jetzt Ihr Passwort zurück, und melden Sie sich bei uns.
$text$),
    ('user.second_factor_removed', 'user', 'Ein zweiter Faktor wurde entfernt',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

ein zweiter Faktor Ihres Kontos bei {{app_name}} wurde entfernt.

Wenn Sie das nicht waren, setzen Sie jetzt Ihr Passwort zurück, und melden Sie sich bei uns.
$text$),
    ('user.second_factors_reset', 'user', 'Ihre zweiten Faktoren wurden entfernt',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

die Verwaltung hat die zweiten Faktoren Ihres Kontos bei {{app_name}} entfernt. Sie können sich mit Ihrem \
Passwort anmelden und einen neuen Faktor einrichten.

Wenn Sie das nicht gewünscht haben, melden Sie sich sofort bei uns.
$text$),
    ('user.api_key_created', 'user', 'Ein API-Schlüssel wurde angelegt',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

für Ihr Konto bei {{app_name}} wurde der API-Schlüssel „{{name}}“ ({{prefix}}…) angelegt{{#is_repeated}}, der \
letzte von {{repeats}}{{/is_repeated}}. Wer ihn hat, kann für Sie handeln.

Wenn Sie das nicht waren, widerrufen Sie ihn jetzt, und ändern Sie Ihr Passwort.
$text$),
    ('booking.created', 'user', 'Wir haben Ihre Buchung',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

vielen Dank. Das haben Sie angefragt; wir bestätigen es Ihnen noch:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}
$text$),
    ('booking.confirmed', 'user', 'Ihre Buchung ist bestätigt',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

Ihre Buchung ist bestätigt:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}

Wir freuen uns auf Sie.
$text$),
    ('booking.rescheduled', 'user', 'Ihre Buchung wurde geändert',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

Ihre Buchung wurde geändert. Sie ist jetzt:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}
$text$),
    ('booking.cancelled', 'user', 'Ihre Buchung wurde storniert',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

diese Buchung wurde storniert:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}
$text$),
    ('booking.reminder', 'user', 'Ihre Buchung: {{start_at|datetime}}',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

wir erinnern Sie an Ihre Buchung:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}

Wenn Sie nicht kommen können, stornieren Sie sie bitte rechtzeitig.
$text$),
    ('payment.completed', 'user', 'Wir haben Ihre Zahlung erhalten',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

vielen Dank. Wir haben {{amount_minor|money:currency}} erhalten.
$text$),
    ('payment.partially_refunded', 'user', 'Sie bekommen Geld zurück',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

wir haben {{amount_minor|money:currency}} Ihrer Zahlung zurückgezahlt. Es kann einige Tage dauern, bis das \
Geld bei Ihnen ist.
$text$),
    ('payment.refunded', 'user', 'Sie bekommen Ihr Geld zurück',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

wir haben {{amount_minor|money:currency}} zurückgezahlt, und damit Ihre ganze Zahlung. Es kann einige Tage \
dauern, bis das Geld bei Ihnen ist.
$text$),
    ('order.placed', 'user', 'Wir haben Ihre Bestellung',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

vielen Dank für Ihre Bestellung:

{{#lines}}{{quantity}} x {{name}}: {{total_minor|money:currency}}
{{/lines}}Summe: {{total_minor|money:currency}}
$text$),
    ('order.cancelled', 'user', 'Ihre Bestellung wurde storniert',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

Ihre Bestellung über {{total_minor|money:currency}} wurde storniert.{{#refunded_minor}} Was Sie bezahlt haben, \
geht an Sie zurück.{{/refunded_minor}}
$text$),
    ('loyalty.points_expiring', 'user', 'Ihre Punkte verfallen bald',
$text$Guten Tag{{#user.name}} {{user.name}}{{/user.name}},

{{points}} Ihrer Punkte bei {{app_name}} verfallen am {{expires_at|date}}. Bis dahin können Sie sie einlösen.
$text$))
    AS v (event, audience, subject, body)
    CROSS JOIN LATERAL (SELECT replace(v.body, E' \\\n', ' ')) AS t (body);
