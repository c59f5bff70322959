/** What the server has and its contract does not say yet. */
export interface Session {
  name: string;
  role: string;
  accounts: string[];
  may: string[];
  expires_at?: string;
}
type Json<T> = { content: { "application/json": T } };
type No = { header?: never; path?: never; cookie?: never };
export interface ExtraPaths {
  "/v1/session": {
    get: { parameters: No & { query?: never }; responses: { 200: Json<Session> } };
    post: { parameters: No & { query?: never }; requestBody: Json<{ name: string; password: string }>; responses: { 200: Json<Session> } };
    delete: { parameters: No & { query?: never }; responses: { 204: { content?: never } } };
  };
}
