// Shows the live document, and keeps the access token of a login for the calls that are tried here. The token stays in
// this page's memory: it is gone when the page is left. What the page says of it is what the viewer will do.
'use strict';

let tellLoaded;
const isLoaded = new Promise((resolve) => { tellLoaded = resolve; });
const viewer = SwaggerUIBundle({
  onComplete: tellLoaded,
  url: '/openapi.json',
  dom_id: '#viewer',
  deepLinking: true,
  docExpansion: 'none',
  filter: true,
  validatorUrl: null, // nothing is asked of other sites
  displayRequestDuration: true,
});

const who = document.getElementById('who');
let end;

function carriesToken() {
  const tokens = viewer.authSelectors.authorized();
  return Boolean(tokens && tokens.has('bearer'));
}

function forgetToken(text) {
  clearTimeout(end);
  if (carriesToken()) viewer.authActions.logout(['bearer']);
  who.textContent = text;
}

async function logIn(identifier, password) {
  const answer = await fetch('/auth/login', {
    method: 'POST',
    credentials: 'omit',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ identifier, password }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.title || 'The login was refused.');
  // Whoever logs in before the document has come: without it the viewer knows no place for a token.
  who.textContent = `Logged in as ${identifier}, waiting for the document: calls carry no token yet.`;
  await isLoaded;
  viewer.preauthorizeApiKey('bearer', body.access_token);
  if (!carriesToken()) throw new Error('The document knows no bearer token: calls carry none.');
  const minutes = Math.floor(body.expires_in / 60);
  who.textContent = `Logged in as ${identifier}: calls carry a token for ${minutes} minutes.`;
  clearTimeout(end);
  end = setTimeout(() => forgetToken('The token has ended: calls are made without one.'), body.expires_in * 1000);
}

document.getElementById('log-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await logIn(form.elements.identifier.value, form.elements.password.value);
    form.elements.password.value = '';
  } catch (error) {
    forgetToken(`${error.message} Calls are made without a token.`);
  }
});
