// Shows the live document, and keeps the access token of a login for the calls that are tried here. The token stays in
// this page's memory: it is gone when the page is left.
'use strict';

const viewer = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#viewer',
  deepLinking: true,
  docExpansion: 'none',
  filter: true,
  validatorUrl: null, // nothing is asked of other sites
  displayRequestDuration: true,
});

const who = document.getElementById('who');

async function logIn(identifier, password) {
  const answer = await fetch('/auth/login', {
    method: 'POST',
    credentials: 'omit',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ identifier, password }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.title || 'The login was refused.');
  viewer.preauthorizeApiKey('bearer', body.access_token);
  const minutes = Math.floor(body.expires_in / 60);
  who.textContent = `Logged in as ${identifier}: calls carry a token for ${minutes} minutes.`;
}

document.getElementById('log-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await logIn(form.elements.identifier.value, form.elements.password.value);
    form.elements.password.value = '';
  } catch (error) {
    who.textContent = error.message;
  }
});
