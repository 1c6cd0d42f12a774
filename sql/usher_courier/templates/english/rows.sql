-- What messages say in English, where nobody has decided otherwise. A line that ends with \ goes on in the next one.
INSERT INTO @extschema@.message_templates (event, audience, language, subject, body_text, body_html)
SELECT v.event, v.audience, 'en', v.subject, t.body, @extschema@._html_of_text(t.body, 'en')
FROM (VALUES
    ('user.email_verification_requested', 'user', 'Confirm your e-mail address',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

please confirm that this is your e-mail address:

{{app_url}}/verify-email?token={{token}}

The link is good until {{expires_at|datetime}} ({{time_zone}}), and once. If you have not registered with \
{{app_name}}, do nothing.
$text$),
    ('user.password_reset_requested', 'user', 'Reset your password',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

somebody, most likely you, has asked to reset your password at {{app_name}}. Choose a new one here:

{{app_url}}/reset-password?token={{token}}

The link is good until {{expires_at|datetime}} ({{time_zone}}), and once. If it was not you, do nothing: your \
password stays as it is.
$text$),
    ('user.email_change_requested', 'user', 'Confirm your new e-mail address',
$text$Hello,

please confirm that this is the new e-mail address of your account at {{app_name}}:

{{app_url}}/verify-email?token={{token}}

The link is good until {{expires_at|datetime}} ({{time_zone}}), and once. If you do not know what this is \
about, do nothing.
$text$),
    ('user.email_change_requested', 'account', 'Your e-mail address is to be changed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

somebody, most likely you, wants to change the e-mail address of your account at {{app_name}} to {{email}}. \
This happens once the new address is confirmed.

If it was not you, change your password now.
$text$),
    ('user.email_changed', 'user', 'Your e-mail address was changed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

this is now the e-mail address of your account at {{app_name}}.{{#former_email}} It was {{former_email}} \
before.{{/former_email}}
$text$),
    ('user.email_changed', 'former_address', 'Your e-mail address was changed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

the e-mail address of your account at {{app_name}} was changed, and messages no longer go to this one.

If it was not you, contact us at once.
$text$),
    ('user.login_code_requested', 'user', 'Your code to log in',
$text$Your code to log in to {{app_name}} is

{{code}}

It is good until {{expires_at|time}} ({{time_zone}}), and once. Tell it to nobody: we never ask for it. If you \
have not asked for a code, do nothing.
$text$),
    ('user.verification_code_requested', 'user', 'Your code to confirm your e-mail address',
$text$Your code to confirm this e-mail address at {{app_name}} is

{{code}}

It is good until {{expires_at|time}} ({{time_zone}}), and once. Tell it to nobody: we never ask for it. If you \
have not asked for a code, do nothing.
$text$),
    ('user.registration_repeated', 'user', 'You have an account already',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

somebody wanted to register at {{app_name}} with this e-mail address, which has an account. If it was you, log \
in, or reset your password if you do not know it any more:

{{app_url}}/forgot-password

If it was not you, do nothing: your account stays as it is.
$text$),
    ('user.password_changed', 'user', 'Your password was changed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

the password of your account at {{app_name}} was changed. If it was not you, reset it now, and contact us:

{{app_url}}/forgot-password
$text$),
    ('user.new_device', 'user', 'A new login to your account',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

somebody, most likely you, has logged in to your account at {{app_name}} from a device that we have not seen \
before{{#is_repeated}}, {{repeats}} times in a short while. The last one{{/is_repeated}}:

{{#logged_in_at}}Time: {{logged_in_at|datetime}} ({{time_zone}}){{/logged_in_at}}{{#client_ip}}
Address: {{client_ip}}{{/client_ip}}{{#user_agent}}
Program: {{user_agent}}{{/user_agent}}

If it was not you, change your password now: that also ends all sessions.
$text$),
    ('user.locked', 'user', 'Your account is locked for a while',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

somebody has tried too many wrong passwords for your account at {{app_name}}{{#is_repeated}}, {{repeats}} \
times over{{/is_repeated}}. {{#reset_required}}It opens again when you reset your \
password.{{/reset_required}}{{^reset_required}}Logging in with the password works again from \
{{locked_until|datetime}} ({{time_zone}}) on.{{/reset_required}} You can reset your password at any time:

{{app_url}}/forgot-password
$text$),
    ('user.second_factor_added', 'user', 'A second factor was added',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

a second factor was added to your account at {{app_name}}: from now on, logging in takes a code of your \
authenticator app as well.

If it was not you, reset your password now, and contact us.
$text$),
    ('user.second_factor_removed', 'user', 'A second factor was removed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

a second factor was removed from your account at {{app_name}}.

If it was not you, reset your password now, and contact us.
$text$),
    ('user.second_factors_reset', 'user', 'Your second factors were removed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

an administrator has removed the second factors of your account at {{app_name}}. You can log in with your \
password, and set up a new factor.

If you have not asked for it, contact us at once.
$text$),
    ('user.api_key_created', 'user', 'An API key was made',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

the API key "{{name}}" ({{prefix}}…) was made for your account at {{app_name}}{{#is_repeated}}, the last of \
{{repeats}}{{/is_repeated}}. Whoever has it can act for you.

If it was not you, revoke it now, and change your password.
$text$),
    ('booking.created', 'user', 'We have your booking',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

thank you. This is what you have asked for; we will confirm it:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}
$text$),
    ('booking.confirmed', 'user', 'Your booking is confirmed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

your booking is confirmed:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}

We look forward to seeing you.
$text$),
    ('booking.rescheduled', 'user', 'Your booking was changed',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

your booking was changed. It is now:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}
$text$),
    ('booking.cancelled', 'user', 'Your booking was cancelled',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

this booking was cancelled:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}
$text$),
    ('booking.reminder', 'user', 'Your booking: {{start_at|datetime}}',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

this is to remind you of your booking:

{{#service_name}}{{service_name}}
{{/service_name}}{{start_at|datetime}} ({{time_zone}}){{#location_name}}
{{location_name}}{{/location_name}}

If you cannot come, please cancel it in good time.
$text$),
    ('payment.completed', 'user', 'We have received your payment',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

thank you. We have received {{amount_minor|money:currency}}.
$text$),
    ('payment.partially_refunded', 'user', 'You get money back',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

we have paid back {{amount_minor|money:currency}} of your payment. It may take some days until it reaches you.
$text$),
    ('payment.refunded', 'user', 'You get your money back',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

we have paid back {{amount_minor|money:currency}}, and with that your whole payment. It may take some days \
until it reaches you.
$text$),
    ('order.placed', 'user', 'We have your order',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

thank you for your order:

{{#lines}}{{quantity}} x {{name}}: {{total_minor|money:currency}}
{{/lines}}Total: {{total_minor|money:currency}}
$text$),
    ('order.cancelled', 'user', 'Your order was cancelled',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

your order of {{total_minor|money:currency}} was cancelled.{{#refunded_minor}} What you have paid goes back to \
you.{{/refunded_minor}}
$text$),
    ('loyalty.points_expiring', 'user', 'Your points expire soon',
$text$Hello{{#user.name}} {{user.name}}{{/user.name}},

{{points}} of your points at {{app_name}} expire on {{expires_at|date}}. Until then you can spend them.
$text$))
    AS v (event, audience, subject, body)
    CROSS JOIN LATERAL (SELECT replace(v.body, E' \\\n', ' ')) AS t (body);
